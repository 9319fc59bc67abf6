"""The gate at work on a whole controller: kinds of failure, protection, eligibility, switches, the dry run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.standby_controller.policy.detector import FailureKind, Way
from services.standby_controller.store.tokens import Role
from shared.errors import PeerError, PeerRefusedUs, PeerUnreachable, WarmstandbyError
from shared.node.controller_model import ControllerView, Gap
from shared.node.model import ApplicationHealth, DatabaseHealth, JournalEntry, Problem, State, Term
from tests.integration.standby_controller.stage import Stage, eventually, open_stage

SILENT = PeerUnreachable("no route to host")


def judged(stage: Stage, is_so: Callable[[Any], bool]) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return is_so(stage.parts.gatekeeper.judge())

    return look


def codes(stage: Stage) -> list[str]:
    return [one.code for one in stage.parts.gatekeeper.judge().refusals_automatic]


async def protect(stage: Stage) -> None:
    """Sync once, and wait until both agents have recorded that this standby may promote itself."""
    await stage.ended((await stage.post("/v1/syncs"))["id"])
    await eventually(judged(stage, lambda found: found.is_protected))


async def has_event(stage: Stage, kind: str) -> bool:
    return bool((await stage.get(f"/v1/events?kind={kind}"))["items"])


@pytest.mark.parametrize(
    ("agent", "controller", "kind"),
    [
        (SILENT, SILENT, FailureKind.SILENT),
        (SILENT, None, FailureKind.AGENT_DOWN),
        (SILENT, PeerRefusedUs("TLS failed"), FailureKind.REFUSED_US),
        (SILENT, PeerError("HTTP status 502"), FailureKind.PROTOCOL),
        (PeerRefusedUs("wrong key"), SILENT, FailureKind.REFUSED_US),
        (PeerError("HTTP status 500"), None, FailureKind.PROTOCOL),
        (PeerError("HTTP status 500"), SILENT, FailureKind.SILENT),
    ],
)
async def test_a_failure_is_told_by_its_kind(
    newest_dsn: str, tmp_path: Path, agent: WarmstandbyError, controller: WarmstandbyError | None, kind: FailureKind
) -> None:
    """Only silence at all doors is one that a standby takes over for; no look is more than one piece of evidence."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        await protect(stage)
        stage.peer.error, stage.peer_controller.error = agent, controller
        await eventually(judged(stage, lambda found: found.kind is kind and found.diagnosis.is_certain))
        judgement = stage.parts.gatekeeper.judge()
        assert (judgement.way is Way.UNPLANNED) is (kind is FailureKind.SILENT)
        assert [one.code for one in judgement.refusals_automatic] == []
        began = [look.began_seconds for look in judgement.evidence]
        assert began == sorted(set(began))
        diagnosis = (await stage.get("/v1/status"))["diagnosis"]
        assert (diagnosis["node_id"], diagnosis["kind"], diagnosis["is_certain"]) == ("a", kind.value, True)
        assert len(diagnosis["evidence"]) >= 3
        stage.peer.error = None
        await eventually(judged(stage, lambda found: found.kind is FailureKind.WELL))
        assert stage.parts.gatekeeper.judge().way is Way.NONE


async def test_what_an_answering_node_says_of_itself(newest_dsn: str, tmp_path: Path) -> None:
    """A database that is down, one that is only not ours to use, an application, and facts that are too old."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        healthy = stage.peer.database
        unreachable = Problem(code="database_unreachable", text="the server gave no answer")
        stage.peer.database = DatabaseHealth(is_healthy=False, checked_age_seconds=0.0, problem=unreachable)
        await eventually(judged(stage, lambda found: found.kind is FailureKind.DATABASE_DOWN))
        rights = Problem(code="rights_missing", text="the role may not use replication slots")
        stage.peer.database = DatabaseHealth(is_healthy=False, checked_age_seconds=0.0, problem=rights)
        await eventually(judged(stage, lambda found: found.kind is FailureKind.WELL))
        stage.peer.database = DatabaseHealth(is_healthy=True, checked_age_seconds=1000.0)
        await eventually(judged(stage, lambda found: found.kind is FailureKind.DATABASE_DOWN))
        stage.peer.database = healthy
        stage.peer.application = ApplicationHealth(is_healthy=False, checked_age_seconds=0.0, detail="status 500")
        await eventually(
            judged(stage, lambda found: found.kind is FailureKind.APPLICATION_DOWN and found.diagnosis.is_certain)
        )
        assert stage.parts.gatekeeper.judge().way is Way.NONE
        await eventually(lambda: has_event(stage, "peer_application_down"))
        stage.peer_controller.error = None  # it records the wider right, which counts from then on
        await change_failover(stage, application_down="takeover")
        await eventually(judged(stage, lambda found: found.way is Way.ORDERED))


async def test_looks_on_demand_and_an_export_s_life_sign_hurry_nothing(newest_dsn: str, tmp_path: Path) -> None:
    """Who asks often is not certain sooner; who still sends rows is not silent."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        await protect(stage)
        await change_failover(stage, failures=100)
        stage.peer.error = SILENT
        for _ in range(30):
            await stage.parts.monitor.look("a")
        assert stage.parts.monitor.peers[0].misses < 10
        await eventually(judged(stage, lambda found: found.diagnosis.count > 3))
        stage.parts.monitor.listen_to(lambda _: stage.parts.clock.monotonic())
        assert stage.parts.gatekeeper.judge().diagnosis.count == 0
        await asyncio.sleep(0.5)
        assert stage.parts.gatekeeper.judge().diagnosis.count == 0


async def test_a_standby_becomes_eligible_on_the_active_node_first(newest_dsn: str, tmp_path: Path) -> None:
    """And is forgotten there last; with the active node silent it is forgotten here all the same."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        await eventually(lambda: _is(lambda: codes(stage) == ["not_eligible", "unsynced"]))
        await asyncio.sleep(1.5)
        assert stage.peer.asked == stage.own.asked == []
        await stage.ended((await stage.post("/v1/syncs"))["id"])
        await eventually(judged(stage, lambda found: found.is_protected))
        assert [one.is_eligible for one in stage.peer.asked] == [True]
        assert [(one.epoch, one.is_eligible) for one in stage.own.asked] == [(1, True)]
        stage.peer.error = SILENT
        await change_failover(stage, policy="keep_in_standby")
        await eventually(lambda: _is(lambda: stage.own.eligible == {"b": False}))
        assert stage.peer.eligible == {"b": True}
        stage.peer.error = None
        await eventually(lambda: _is(lambda: stage.peer.eligible == {"b": False}))
        assert codes(stage) == ["not_eligible", "keep_in_standby"]


async def test_a_new_term_must_be_synced_before_the_standby_is_eligible_in_it(newest_dsn: str, tmp_path: Path) -> None:
    """A copy of the old term is not one that may be promoted."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        await protect(stage)
        stage.peer.term = stage.own.term = Term(epoch=17, owner="a")
        stage.peer.eligible, stage.own.eligible = {}, {}
        await eventually(judged(stage, lambda found: "unsynced" in [one.code for one in found.refusals_automatic]))
        await asyncio.sleep(1.5)
        assert not stage.peer.eligible.get("b")
        await protect(stage)
        assert [one.epoch for one in stage.peer.asked if one.is_eligible] == [1, 17]


async def test_protection_that_comes_and_goes_is_told(newest_dsn: str, tmp_path: Path) -> None:
    """As events, and as the first thing of the status, with the gate below."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        await asyncio.sleep(0.3)
        await protect(stage)
        await eventually(lambda: has_event(stage, "protected"))
        status = await stage.get("/v1/status")
        assert list(status)[:2] == ["protected", "reasons"]
        assert (status["protected"], status["reasons"]) == (True, [])
        assert {check["automatic"] for check in status["gate"]} <= {"passed", "warned"}
        assert status["worst_case_detection_seconds"] == pytest.approx(0.1 + 3 * 3.0 + 2 * 0.1)
        assert "both may serve" in status["safety"]
        assert "no_referee" in [one["code"] for one in status["advisories"]]
        await change_failover(stage, armed=False, no_referee_acknowledged=True)
        await eventually(lambda: has_event(stage, "unprotected"))
        status = await stage.get("/v1/status")
        assert "disarmed" in [reason["code"] for reason in status["reasons"]]
        assert "no_referee" not in [one["code"] for one in status["advisories"]]


async def test_the_active_node_knows_its_protection_from_the_standby(newest_dsn: str, tmp_path: Path) -> None:
    """By its controller's word; silent standbys protect nothing."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.own.state, stage.peer.state = State.ACTIVE, State.STANDBY
        stage.own.term = stage.peer.term = Term(epoch=2, owner="b")

        def is_because(*expected: str) -> Callable[[], Awaitable[bool]]:
            return judged(stage, lambda found: [one.code for one in found.reasons] == list(expected))

        await eventually(is_because("standby_unknown"))
        stage.peer_controller.error = None
        stage.peer_controller.told = _view(Gap(code="disarmed", text="It is disarmed."))
        await eventually(is_because("disarmed"))
        stage.peer_controller.told = _view()
        await eventually(is_because())
        assert (await stage.get("/v1/status"))["protected"] is True
        stage.peer.error = stage.peer_controller.error = SILENT
        await eventually(is_because("standby_silent"))
        status = await stage.get("/v1/status")
        assert "standby_silent" in [one["code"] for one in status["advisories"]]
        await eventually(lambda: has_event(stage, "unprotected"))


async def test_after_maintenance_a_failure_must_be_seen_anew(newest_dsn: str, tmp_path: Path) -> None:
    """A node that fell silent meanwhile is not taken over from on what was seen then; the same when it is armed."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        await protect(stage)
        for path, on, off, event in (
            ("/v1/maintenance", {"enabled": True, "reason": "disks"}, {"enabled": False}, "maintenance_begun"),
            ("/v1/arming", {"armed": False, "reason": "a test"}, {"armed": True}, "disarmed"),
        ):
            stage.peer.error = None
            await eventually(judged(stage, lambda found: found.kind is FailureKind.WELL))
            answer = await put(stage, path, on)
            assert (answer["maintenance"], answer["armed"]) == (path == "/v1/maintenance", path != "/v1/arming")
            assert await put(stage, path, on) == answer
            await eventually(lambda event=event: has_event(stage, event))  # type: ignore[misc]
            stage.peer.error = SILENT
            await eventually(judged(stage, lambda found: found.diagnosis.is_certain))
            assert codes(stage)
            await put(stage, path, off)
            judgement = stage.parts.gatekeeper.judge()
            assert (judgement.diagnosis.count, judgement.way) == (0, Way.NONE)
            await eventually(judged(stage, lambda found: found.way is Way.UNPLANNED))
            assert stage.parts.gatekeeper.judge().diagnosis.count >= 3
        events = (await stage.get("/v1/events?kind=disarmed"))["items"]
        assert [one["text"] for one in events] == ["admin disarmed automatic failover: a test"]


async def test_a_cooldown_holds_on_both_nodes(newest_dsn: str, tmp_path: Path) -> None:
    """Whichever of them took over by itself last."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        await protect(stage)
        stage.parts.gatekeeper.note_automatic_failover(ago_seconds=601.0)
        assert codes(stage) == []
        stage.parts.gatekeeper.note_automatic_failover(ago_seconds=500.0)
        assert codes(stage) == ["cooldown"]
        stage.parts.gatekeeper.note_automatic_failover(ago_seconds=601.0)
        assert codes(stage) == ["cooldown"]
        await change_failover(stage, cooldown_seconds=100)
        stage.peer_controller.error = None  # it records the wider right
        await eventually(judged(stage, lambda found: found.refusals_automatic == ()))
        stage.peer_controller.told = _view().model_copy(update={"automatic_failover_age_seconds": 10.0})
        await eventually(judged(stage, lambda found: "cooldown" in [one.code for one in found.refusals_automatic]))


async def test_a_controller_that_starts_recalls_the_last_automatic_failover(newest_dsn: str, tmp_path: Path) -> None:
    """From the history, whichever node it was; what an administrator did begins no pause."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        parts = stage.parts
        assert await parts.transitions.last_automatic_failover() is None
        begun = parts.clock.now() - timedelta(seconds=100)
        for number, (is_by_hand, ago) in enumerate([(False, 50), (True, 10)]):
            at = parts.clock.now() - timedelta(seconds=ago)
            asked: dict[str, Any] = {"is_by_hand": is_by_hand}
            entries = [
                JournalEntry(
                    seq=2 * number + place,
                    at=at,
                    transition_id=f"attempt-{number}",
                    kind="failover",
                    step=step,
                    outcome="done",
                    data=data,
                )
                for place, step, data in ((1, "asked", asked), (2, "open", {}))
            ]
            await parts.transitions.copy(entries)
        recalled = await parts.transitions.last_automatic_failover()
        assert recalled is not None
        assert begun < recalled < parts.clock.now() - timedelta(seconds=40)
    async with open_stage(newest_dsn, tmp_path) as stage:

        async def is_recalled() -> bool:
            age = stage.parts.gatekeeper.automatic_failover_age_seconds()
            return age is not None and 49 < age < 90

        await eventually(is_recalled)
        assert "cooldown" in codes(stage)


async def test_the_controller_disarms_itself(newest_dsn: str, tmp_path: Path) -> None:
    """After attempts that were given up, until an administrator arms it again."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        await protect(stage)
        stage.parts.gatekeeper.disarm("three attempts were given up")
        assert codes(stage) == ["disarmed"]  # at once, whatever the database does
        await eventually(lambda: has_event(stage, "disarmed"))
        assert (await stage.get("/v1/config"))["document"]["failover"]["armed"] is False
        (event,) = (await stage.get("/v1/events?kind=disarmed"))["items"]
        assert event["text"] == "the controller disarmed automatic failover: three attempts were given up"


async def test_the_plan_shows_all_and_does_nothing(newest_dsn: str, tmp_path: Path) -> None:
    """A viewer may ask for it; the node stays what it is."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        plan = await stage.post("/v1/transitions/plan", expect=200, json={"kind": "failover"})
        assert (plan["may_begin_by_hand"], plan["may_begin_by_itself"], plan["way"]) == (False, False, "none")
        assert {one["code"]: one["override"] for one in plan["refusals_by_hand"]} == {"unsynced": "unsynced"}
        demand = {"kind": "failover", "overrides": ["unsynced"]}
        assert (await stage.post("/v1/transitions/plan", expect=200, json=demand))["may_begin_by_hand"] is True
        await protect(stage)
        plan = await stage.post("/v1/transitions/plan", expect=200, json={"kind": "switchover"})
        assert (plan["may_begin_by_hand"], plan["estimated_loss_seconds"]) == (True, 0.0)
        assert [act["number"] for act in plan["acts"]] == list(range(1, len(plan["acts"]) + 1))
        assert {act["node_id"] for act in plan["acts"]} == {"a", "b"}
        for wrong in ({"kind": "resync"}, {"kind": "failover", "overrides": ["hope"]}, {}):
            assert (await stage.post("/v1/transitions/plan", expect=422, json=wrong))["code"] == "request_invalid"
        assert not [loop for loop in vars(stage.parts.planner).values() if hasattr(loop, "promote")]


async def test_a_recheck_that_would_slow_detection_down_is_refused(newest_dsn: str, tmp_path: Path) -> None:
    """With the reason; the worst case of the new settings is in the answer, and the old name still works."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        refused = await change(stage, {"failover": {"recheck_seconds": 0.2}}, expect=422)
        assert "heartbeat_seconds of this node (0.1)" in refused["detail"]
        changed = await change(stage, {"failover": {"recheck_seconds": 0.05, "failures": 5}})
        assert changed["worst_case_detection_seconds"] == pytest.approx(0.1 + 5 * 3.0 + 4 * 0.05)
        changed = await change(stage, {"monitor": {"misses_until_lost": 4}})
        assert changed["document"]["failover"]["failures"] == 4
        assert "misses_until_lost" not in changed["document"]["monitor"]


async def _is(condition: Callable[[], bool]) -> bool:
    return condition()


def _view(*gaps: Gap) -> ControllerView:
    return ControllerView(pair_id="pair", node_id="a", boot_id="boot", state=State.STANDBY, reasons=gaps)


async def change_failover(stage: Stage, **values: object) -> None:
    await change(stage, {"failover": values})


async def change(stage: Stage, patch: object, *, expect: int = 200) -> Any:
    etag = (await stage.http.get("/v1/config", headers=stage.auth())).headers["ETag"]
    response = await stage.http.patch("/v1/config", json=patch, headers={**stage.auth(), "If-Match": etag})
    assert response.status_code == expect, response.text
    return response.json()


async def put(stage: Stage, path: str, body: object) -> Any:
    response = await stage.http.put(path, json=body, headers=stage.auth(Role.ADMIN))
    assert response.status_code == 200, response.text
    return response.json()
