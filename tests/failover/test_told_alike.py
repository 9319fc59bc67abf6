"""What both consoles tell of a failover, a return and a failback; one configuration after each of them."""

from __future__ import annotations

import asyncio

from lab.ledger import TABLE
from lab.people import ApiError, Json, change_config
from tests.failover.conftest import Open
from tests.failover.stage import APPLICATION, DATABASE, Stage


async def test_both_nodes_tell_the_same_story(open_pair: Open) -> None:
    """Transitions, events, syncs and settings are equal on both, and `explain` says it in about ten lines."""
    async with open_pair() as stage:
        await stage.sync()
        await stage.is_protected()
        insert = f"INSERT INTO {TABLE} (writer, number) SELECT 'alone', n FROM generate_series(1, 3) n"
        await asyncio.to_thread(stage.primary.cluster.psql, insert, DATABASE, user=APPLICATION)
        await asyncio.sleep(3)  # so that its capture has seen them
        await stage.kill_host(stage.primary)
        await stage.becomes(stage.secondary, "active")
        await asyncio.to_thread(_change, stage, 5)
        config = await stage.ask(stage.secondary, "GET", "/v1/config")
        assert config["not_yet_on"] == ["primary"]
        await stage.boot_host(stage.primary)
        await stage.until(lambda: _is_seen(stage, "fenced"), "the returned node is fenced")
        await stage.until(lambda: _returns(stage), "the returned node is synced")
        await stage.is_protected_after_sync(stage.primary)
        await _is_equal(stage)
        back = await stage.change(stage.primary, "/v1/switchover", {"reason": "to the old place"})
        assert back["failure"] is None, back
        await stage.becomes(stage.secondary, "standby")
        await _is_equal(stage)
        transitions = (await stage.ask(stage.secondary, "GET", "/v1/transitions"))["items"]
        told = [(one["kind"], one["node"], one["result"]) for one in transitions if one["kind"] != "return"]
        assert told[0] == ("failback", "primary", "succeeded")
        assert told[-1] == ("failover", "secondary", "succeeded")
        path = f"/v1/transitions/{transitions[-1]['id']}"
        await stage.until(lambda: _counts_losses(stage, path), "what was lost is counted")
        failover = await stage.ask(stage.secondary, "GET", path)
        assert failover["lost_rows"] == 3
        assert (failover["asked_by"], failover["is_by_hand"]) == ("the controller on secondary", False)
        assert "primary is silent" in failover["why"]
        assert {phase["step"] for phase in failover["phases"]} >= {"asked", "take_term", "open", "start_application"}
        topics = {(one["node"], one["topic"]) for one in failover["evidence"]}
        assert topics >= {("secondary", "decision"), ("secondary", "looks"), ("primary", "looks")}
        assert transitions[0]["asked_by"] == "lab on primary"
        assert {phase["node"] for phase in transitions[0]["phases"]} == {"primary", "secondary"}
        for node in (stage.primary, stage.secondary):
            file = node.config.parent / "token"
            file.write_text(node.token, encoding="utf-8")
            text = await asyncio.to_thread(node.run_command, "explain", failover["id"], "--token-file", str(file))
            assert len(text.splitlines()) <= 13


async def _is_seen(stage: Stage, state: str) -> bool:
    try:
        return bool((await stage.status(stage.primary))["node"]["state"] == state)
    except ApiError:
        return False  # its controller is starting


async def _returns(stage: Stage) -> bool:
    """Ask for the re-sync; a controller that has only just started may not have read its history."""
    return bool((await stage.change(stage.primary, "/v1/resync", {"reason": "it is mended"}))["failure"] is None)


async def _counts_losses(stage: Stage, path: str) -> bool:
    return bool((await stage.ask(stage.secondary, "GET", path))["lost_rows"] is not None)


def _change(stage: Stage, failures: int) -> None:
    change_config(stage.secondary.controller_url, stage.secondary.token, {"failover": {"failures": failures}})


async def _is_equal(stage: Stage) -> None:
    """Wait until both controllers show the same."""

    async def shown(path: str) -> list[Json]:
        return [await stage.ask(node, "GET", path) for node in (stage.primary, stage.secondary)]

    async def are_equal() -> bool:
        for path in ("/v1/config", "/v1/transitions", "/v1/syncs", "/v1/events?limit=200"):
            one, other = await shown(path)
            if one != other or one.get("not_yet_on"):
                return False
        return True

    await stage.until(are_equal, "both consoles show the same")
