"""The link between the nodes is cut, in part or at the worst moment: who serves is what the promise says."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest

from lab.ledger import Client
from lab.node import Node
from lab.proxy import Passage
from tests.failover.trial import Trial, Trials
from tests.tier import rounds

pytestmark = pytest.mark.asyncio(loop_scope="module")
LINKED = True

DETECTED_SECONDS = 6.0
"""Longer than it takes to believe a silence with the settings of these tests, packets being dropped."""


async def test_both_serve_across_a_cut_link_until_the_heal_and_then_the_higher_term_alone(trials: Trials) -> None:
    """The promised split, policy promote: the lower term ends all its sessions within the promised seconds."""
    async with trials.trial(promotions=1) as trial:
        promised = await promised_seconds(trials, trial.standby)
        await trials.links.cut()
        cut = time.monotonic()
        await trials.stage.becomes(trial.standby, "active")
        await trial.writes_on(trial.stayer)
        await trial.writes_on()
        healed = time.monotonic()
        await trials.links.heal()
        await trials.stage.becomes(trial.active, "fenced")
        check_ended(trial, trial.stayer, healed + promised)
        trial.may_overlap_seconds = time.monotonic() - cut
        record = await trials.stage.record(trial.active)
        assert record["reason_code"] == "both_active"
        print(f"the lower term wrote for {trial.stayer.accepted[-1].ended - healed:.2f} s after the heal")


async def test_a_cut_of_what_the_standby_asks_alone_ends_in_one_server_without_a_heal(trials: Trials) -> None:
    """F23: the active node still hears the standby, learns of its term and stops by itself."""
    async with trials.trial(promotions=1) as trial:
        await trials.links.cut(from_=trial.standby)
        cut = time.monotonic()
        await trials.stage.becomes(trial.standby, "active")
        promoted = time.monotonic()
        await trials.stage.becomes(trial.active, "fenced")
        trial.may_overlap_seconds = time.monotonic() - cut
        print(f"the lower term was fenced {time.monotonic() - promoted:.2f} s after the promotion")
        await trial.writes_on()


async def test_nobody_is_promoted_across_a_cut_link_with_the_policy_keep_in_standby(trials: Trials) -> None:
    """The active node serves on and both say what is wrong; after the heal all is as before."""
    async with trials.trial() as trial:
        await trials.stage.configure({"policy": "keep_in_standby"})
        try:
            await trials.links.cut()
            await trial.stays(DETECTED_SECONDS)
            await trial.sees(trial.standby, "peer_lost")
            await trial.writes_on(trial.stayer)
            await trials.links.heal()
        finally:
            await trials.stage.configure({"policy": "promote"})


async def test_a_standby_that_reaches_no_reference_target_is_never_promoted(trials: Trials) -> None:
    """F19: it takes itself for cut off, whatever it hears of the other node, and says so."""
    async with trials.trial() as trial:
        await trials.links.reference.turn(Passage.REFUSE)
        await trials.links.cut()
        await trial.stays(DETECTED_SECONDS)
        await trial.sees(trial.standby, "self_isolated")
        await trial.writes_on(trial.stayer)


async def test_a_flapping_link_is_one_failover_at_most(trials: Trials) -> None:
    """F27: cuts that are shorter than the detection count for nothing, however many they are."""
    async with trials.trial() as trial:
        for _ in range(rounds(4, 20)):
            await trials.links.cut(Passage.REFUSE)
            await asyncio.sleep(0.4)
            await trials.links.heal()
            await asyncio.sleep(1.2)
        await trial.stays(1)


async def test_an_old_primary_that_boots_cut_off_serves_nobody(trials: Trials) -> None:
    """F14: it reaches its clients and no peer; the standby that its record calls eligible may have been promoted."""
    async with trials.trial(promotions=1) as trial:
        await trials.stage.kill_host(trial.active)
        await trials.stage.becomes(trial.standby, "active")
        await trials.links.cut()
        await trials.switch_on(trial.active)
        before = len(trial.stayer.accepted)
        await trials.stage.until(lambda: says(trials, trial.active, "no_active_node"), "it says why it waits")
        await asyncio.sleep(1)
        assert trial.active.agent.probe("/active") == 503
        assert len(trial.stayer.accepted) == before
        await trials.links.heal()
        await trials.stage.becomes(trial.active, "fenced")


async def test_a_wrong_key_is_an_alarm_and_never_a_death(trials: Trials) -> None:
    """F52: the active node answers 401 at both doors; the standby tells that it is refused and stays one."""
    async with trials.trial() as trial:
        text = trial.active.config.read_text()
        trial.active.config.write_text(text.replace(trial.standby.key, "a-key-that-nobody-has-been-given-"))
        try:
            await restart_in_turn(trials, trial.active)
            await trial.sees(trial.standby, "peer_refused")
            await trial.stays(DETECTED_SECONDS)
            await trial.writes_on(trial.stayer)
        finally:
            trial.active.config.write_text(text)
            await restart_in_turn(trials, trial.active)


MOMENTS = rounds(["last_sync.entered"], ["closing.entered", "last_sync.entered", "stop_apply.begun", "open.begun"])


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_link_cut_in_a_switchover_leaves_one_server_or_none_until_the_heal(trials: Trials, moment: str) -> None:
    """F32: it goes on with what was cut or is given up, and only the first once the term is taken; nothing is lost."""
    is_taken = moment == "open.begun"
    async with trials.trial(promotions=int(is_taken), loses_nothing=True) as trial:
        moment_path = await hold_at(trials, trial.standby, moment)
        await trials.stage.ask(trial.standby, "POST", "/v1/switchover", {"reason": "trial"})
        await trials.all_happen(trial.standby, [moment])
        await trials.links.cut()
        moment_path.touch()
        await asyncio.sleep(3)
        states = {await trials.stage.state(node) for node in (trial.active, trial.standby)}
        assert states & {"active", "demoting"}
        await trials.links.heal()
        serving = await trials.heal()
        assert serving is trial.standby or not is_taken
        trial.promotions = int(serving is trial.standby)


async def test_a_link_cut_when_the_term_is_taken_in_a_failover_is_the_promised_split(trials: Trials) -> None:
    """F32: frozen long enough to be believed dead, back and cut off when the other has taken the term."""
    async with trials.trial(promotions=1) as trial:
        go_on = await hold_at(trials, trial.standby, "open.begun")
        for service in trial.active.services:
            service.pause()
        await trials.all_happen(trial.standby, ["open.begun"])
        await trials.links.cut()
        cut = time.monotonic()
        for service in trial.active.services:
            service.resume()
        go_on.touch()
        await trials.stage.becomes(trial.standby, "active")
        await trial.writes_on()
        healed = time.monotonic()
        await trials.links.heal()
        await trials.stage.becomes(trial.active, "fenced")
        trial.may_overlap_seconds = time.monotonic() - cut
        check_ended(trial, trial.stayer, healed + await promised_seconds(trials, trial.standby))


async def restart_in_turn(trials: Trials, node: Node) -> None:
    """Restart both services of an active node, so that one of them always answers."""
    await asyncio.to_thread(node.agent.restart)
    await trials.stage.becomes(node, "active")
    await asyncio.to_thread(node.controller.restart)
    await asyncio.to_thread(node.controller.wait_ready, 30.0, "/health/live")


async def promised_seconds(trials: Trials, node: Node) -> float:
    """Return how long both may serve after the heal, as the node's own words say it."""
    found = re.search(r"within (\d+) s", (await trials.stage.status(node))["safety"])
    assert found
    return float(found[1])


async def says(trials: Trials, node: Node, reason: str) -> bool:
    """Say whether a node names this reason for its state."""
    return bool((await trials.stage.record(node))["reason_code"] == reason)


async def hold_at(trials: Trials, node: Node, step: str) -> Path:
    """Have a service stand still at a step until the returned file is there."""
    go_on = trials.accidents.folder / "go_on"
    trials.accidents.lay(node, step, f"for _ in $(seq 200); do [ -e {go_on} ] && break; sleep 0.05; done\n")
    return go_on


def check_ended(trial: Trial, client: Client, until: float) -> None:
    """See that a client had nothing acknowledged after a moment."""
    late = [write for write in client.accepted if write.ended > until]
    assert not late, f"{client.name} wrote {len(late)} rows on {trial.active.name} after the promised moment"
