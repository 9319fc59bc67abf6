"""Transitions through the API: copied from the own agent's journal, listed, explained, told as events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.node.model import JournalEntry
from tests.integration.standby_controller.stage import Stage, eventually, open_stage

BEGUN = datetime.now(UTC) + timedelta(days=1)


def _entry(seq: int, transition: str, kind: str, step: str, outcome: str = "done", **more: Any) -> JournalEntry:
    at = BEGUN + timedelta(seconds=seq)
    return JournalEntry(seq=seq, at=at, transition_id=transition, kind=kind, step=step, outcome=outcome, **more)


FAILOVER = [
    _entry(1, "attempt-1", "failover", "asked", detail="=a is silent", data={"is_by_hand": False}),
    _entry(2, "attempt-1", "failover", "take_term", "begun", data={"epoch": "18"}),
    _entry(3, "attempt-1", "failover", "take_term", seconds=0.01),
    _entry(4, "attempt-1", "failover", "open", "begun"),
    _entry(5, "attempt-1", "failover", "open", seconds=0.2),
    _entry(6, "18.3", "hook", "post_promote", detail="ok"),
]


async def _listed(stage: Stage, query: str = "") -> list[str]:
    return [one["id"] for one in (await stage.get(f"/v1/transitions{query}"))["items"]]


async def test_the_journal_becomes_history(newest_dsn: str, tmp_path: Path) -> None:
    """Soon, once, in pages; what is not there is not found."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        assert await _listed(stage) == []
        stage.journal.entries += FAILOVER[:4]
        await eventually(lambda: _is(stage, "attempt-1", "running"))
        stage.journal.entries += FAILOVER[4:]
        await eventually(lambda: _is(stage, "attempt-1", "succeeded"))
        await eventually(lambda: _has_phase(stage, "post_promote"))
        shown = await stage.get("/v1/transitions/attempt-1")
        assert (shown["kind"], shown["node"], shown["term_epoch"], shown["duration_seconds"]) == (
            "failover",
            "b",
            18,
            4,
        )
        assert [phase["step"] for phase in shown["phases"]] == ["asked", "take_term", "open", "post_promote"]
        kinds = [event["kind"] for event in (await stage.get("/v1/events?subject=attempt-1"))["items"]]
        assert kinds == ["transition_done", "transition_begun"]
        assert (await stage.get("/v1/transitions/none", expect=404))["code"] == "not_found"
        assert (await stage.get("/v1/transitions/%00", expect=404))["code"] == "not_found"


async def test_a_journal_made_anew_is_copied_from_its_beginning(newest_dsn: str, tmp_path: Path) -> None:
    """The state folder was lost: what was copied before stays, and the new entries are no old ones."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.journal.entries += FAILOVER
        await eventually(lambda: _is(stage, "attempt-1", "succeeded"))
        for count in (7, 2):  # longer than what was copied, and shorter
            anew = [_entry(seq, f"anew-{count}", "fence", "asked") for seq in range(1, count + 1)]
            later = [entry.model_copy(update={"at": entry.at + timedelta(hours=count)}) for entry in anew]
            stage.journal.entries[:] = later
            await eventually(lambda: _has(stage, f"anew-{count}"))  # noqa: B023
        end = _entry(3, "anew-2", "fence", "prove")
        stage.journal.entries.append(end.model_copy(update={"at": end.at + timedelta(hours=2)}))
        await eventually(lambda: _is(stage, "anew-2", "succeeded"))
        assert await _listed(stage) == ["anew-7", "anew-2", "attempt-1"]


async def test_transitions_are_filtered_and_given_as_csv(newest_dsn: str, tmp_path: Path) -> None:
    """As syncs are; a text that a spreadsheet would calculate is kept from it."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.journal.entries += [*FAILOVER, _entry(7, "fence-1", "fence", "asked", detail="ordered")]
        await eventually(lambda: _has(stage, "fence-1"))
        assert await _listed(stage, "?kind=fence") == ["fence-1"]
        assert await _listed(stage, "?kind=fence&kind=failover&result=succeeded") == ["attempt-1"]
        assert await _listed(stage, "?node=a") == []
        answer = await stage.http.get("/v1/transitions?limit=1", headers={**stage.auth(), "Accept": "text/csv"})
        assert answer.headers["Link"].endswith('rel="next"')
        answer = await stage.http.get("/v1/transitions", headers={**stage.auth(), "Accept": "text/csv"})
        head, _, failover = answer.text.splitlines()
        assert head.startswith("id,kind,node,result,started_at")
        assert ",'=a is silent," in failover
        for wrong in ("?kind=odd", "?result=odd", "?node=%00", "?odd=1"):
            assert (await stage.get(f"/v1/transitions{wrong}", expect=422))["code"] == "request_invalid"


async def _is(stage: Stage, transition: str, result: str) -> bool:
    items = (await stage.get("/v1/transitions"))["items"]
    return [one["result"] for one in items if one["id"] == transition] == [result]


async def _has(stage: Stage, transition: str) -> bool:
    return transition in await _listed(stage)


async def _has_phase(stage: Stage, step: str) -> bool:
    phases = (await stage.get("/v1/transitions/attempt-1"))["phases"]
    return step in [phase["step"] for phase in phases]
