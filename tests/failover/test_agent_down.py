"""Only the agent of the active node dies: its databases go on, until its controller closes them for a takeover."""

from __future__ import annotations

import asyncio
import time

from lab.ledger import overlap_seconds, places_in_order, writing
from lab.node import Node
from lab.people import Json
from tests.failover.conftest import Open
from tests.failover.stage import Stage

AGENT_DOWN_SECONDS = 5.0
FAILOVER = {"agent_down_seconds": AGENT_DOWN_SECONDS}


async def events_of(stage: Stage, node: Node, kind: str) -> list[Json]:
    items: list[Json] = (await stage.ask(node, "GET", f"/v1/events?kind={kind}"))["items"]
    return items


async def kill_agent(node: Node) -> float:
    await asyncio.to_thread(node.agent.kill)
    return time.monotonic()


async def diagnosed(stage: Stage) -> None:
    async def is_so() -> bool:
        return bool((await stage.status(stage.secondary))["diagnosis"]["kind"] == "agent_down")

    await stage.until(is_so, "the standby sees that the agent alone is down")


async def test_its_controller_closes_the_node_before_the_standby_takes_over(open_pair: Open) -> None:
    """Alarm first; then no write is accepted on both, sessions from before end, and the agent comes back fenced."""
    async with open_pair(failover=FAILOVER) as stage:
        old, late = stage.client_at(stage.primary), stage.client_at(stage.secondary)
        async with writing(old, late, stage.client()):
            await asyncio.sleep(1)
            await stage.sync()
            died = await kill_agent(stage.primary)

            async def is_told() -> bool:
                return bool(await events_of(stage, stage.secondary, "peer_agent_down"))

            await stage.until(is_told, "the alarm is told")
            assert await stage.state(stage.secondary) == "standby"
            assert (failures := old.failures) == 0, old.last_failure
            await stage.until(
                lambda: _plans_to_close(stage), "the plan closes the other node first", AGENT_DOWN_SECONDS
            )
            await stage.becomes(stage.secondary, "active")
            taken_over = time.monotonic() - died
            assert taken_over >= AGENT_DOWN_SECONDS
            await asyncio.sleep(1)
            assert old.failures > failures
            assert old.accepted[-1].ended < late.accepted[0].begun
            await asyncio.to_thread(stage.primary.agent.start)
            await stage.becomes(stage.primary, "fenced")
            await asyncio.sleep(1.5)
        assert places_in_order(stage.accepted) == ["primary", "secondary"]
        assert overlap_seconds(stage.accepted) == 0
        stage.check_covered(stage.secondary)
        assert (await stage.record(stage.secondary))["term"] == {"epoch": 2, "owner": "secondary"}
        await stage.until(lambda: _told_as_one(stage), "both nodes' acts are one transition")
        print(f"taken over {taken_over:.2f} s after the agent's death")


async def test_an_agent_that_is_back_in_time_serves_on(open_pair: Open) -> None:
    """Nothing happens, and no client notices."""
    async with open_pair(failover={"agent_down_seconds": 6}) as stage:
        client = stage.client_at(stage.primary)
        async with writing(client):
            await kill_agent(stage.primary)
            await diagnosed(stage)
            await asyncio.to_thread(stage.primary.agent.start)
            await stage.becomes(stage.primary, "active")
            await asyncio.sleep(6)
        assert client.failures == 0, client.last_failure
        assert await stage.state(stage.secondary) == "standby"
        assert (await stage.record(stage.primary))["term"] == {"epoch": 1, "owner": "primary"}


async def test_an_agent_that_only_hangs_is_not_closed_past(open_pair: Open) -> None:
    """It holds its folder: its controller refuses, the standby tells that once and does nothing; then all goes on."""
    async with open_pair(failover={"agent_down_seconds": 2}) as stage:
        client = stage.client_at(stage.primary)
        async with writing(client):
            stage.primary.agent.pause()

            async def is_told() -> bool:
                return bool(await events_of(stage, stage.secondary, "transition_failed"))

            await stage.until(is_told, "the standby tells that the node is not closed")
            await asyncio.sleep(8)  # it is tried again twice
            told = await events_of(stage, stage.secondary, "transition_failed")
            assert len(told) == 1
            assert "may be alive" in told[0]["text"]
            assert await stage.state(stage.secondary) == "standby"
            stage.primary.agent.resume()
            await stage.becomes(stage.primary, "active")
            await asyncio.sleep(1)
        assert client.failures == 0, client.last_failure


async def test_by_hand_the_node_is_closed_first_too(open_pair: Open) -> None:
    """Nobody has to vouch for what its controller proves."""
    async with open_pair(failover={"agent_down_seconds": 3600}) as stage:
        async with stage.writing():
            await kill_agent(stage.primary)
            await diagnosed(stage)
            change = await stage.change(stage.secondary, "/v1/failover", {"reason": "its agent does not start"})
            assert change["failure"] is None, change
            await stage.becomes(stage.secondary, "active")
            await asyncio.sleep(1)
        assert places_in_order(stage.accepted) == ["primary", "secondary"]


async def _plans_to_close(stage: Stage) -> bool:
    plan = await stage.ask(stage.secondary, "POST", "/v1/transitions/plan", {"kind": "failover"})
    acts = [(act["node_id"], act["name"]) for act in plan["acts"]]
    closing = [("primary", "close"), ("primary", "end_sessions"), ("primary", "prove")]
    return acts[:4] == [*closing, ("secondary", "reserve")]


async def _told_as_one(stage: Stage) -> bool:
    items = (await stage.ask(stage.secondary, "GET", "/v1/transitions"))["items"]
    found = [one for one in items if one["kind"] == "failover"]
    if not found:
        return False
    whole = await stage.ask(stage.secondary, "GET", f"/v1/transitions/{found[0]['id']}")
    steps = {(phase["node"], phase["step"]) for phase in whole["phases"]}
    return {("primary", "prove"), ("secondary", "take_term")} <= steps
