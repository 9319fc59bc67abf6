"""Processes die, freeze and come back, hosts boot: who serves afterwards is what the table of the roles says."""

from __future__ import annotations

import asyncio

import pytest

from lab.ledger import longest_gap_seconds
from shared.node.model import AttemptKind
from shared.node.steps import PROMOTION, Act
from tests.failover.accidents import die_at, hold_ledger, kept_running, waits_for_lock
from tests.failover.trial import Trials
from tests.tier import rounds

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL_ACTS = PROMOTION[AttemptKind.FAILOVER][:-1]  # to serve is no act of its own
AFTER_TERM = ALL_ACTS[ALL_ACTS.index(Act.TAKE_TERM) + 1 :]
DETECTED_SECONDS = 4.0
"""Longer than it takes to believe a silence with the settings of these tests."""


async def test_a_killed_agent_whose_controller_answers_is_an_alarm_and_no_failover(trials: Trials) -> None:
    """F1: the databases go on serving; the standby tells `peer_agent_down`; the agent comes back as what it was."""
    async with trials.trial() as trial:
        trial.active.agent.kill()
        await trial.sees(trial.standby, "peer_agent_down")
        await trial.stays(1.0)
        await trial.writes_on(trial.stayer)
        trial.active.agent.start()
        await trials.stage.becomes(trial.active, "active")


async def test_an_agent_restarts_on_the_active_node_without_a_client_that_notices(trials: Trials) -> None:
    """F54: also with the standby off nothing is asked of anybody, no session ends, no write fails."""
    async with trials.trial() as trial:
        await trials.stage.kill_host(trial.standby)
        failures = trial.stayer.failures
        await asyncio.to_thread(trial.active.agent.restart)
        await trials.stage.becomes(trial.active, "active")
        await trial.writes_on(trial.stayer)
        assert trial.stayer.failures == failures, trial.stayer.last_failure
        assert longest_gap_seconds(trial.stayer.accepted) < 1.0


async def test_a_killed_database_that_its_hook_brings_back_is_no_failover(trials: Trials) -> None:
    """F3: `restart_database` starts it again; the booted server is asked for by the peers' grant, the term stays."""
    async with trials.trial() as trial:
        cluster = trial.active.cluster
        trials.accidents.lay(trial.active, "restart_database", f"touch {trials.accidents.folder}/wanted\n")
        cluster.kill()

        async def is_wanted() -> bool:
            return (trials.accidents.folder / "wanted").exists()

        await trials.stage.until(is_wanted, "the hook restart_database is run")
        await trials.switch_on(trial.active)
        await trials.stage.becomes(trial.active, "active")


async def test_a_database_that_cannot_start_is_taken_over_from_by_order(trials: Trials) -> None:
    """F4: its agent answers and records `fenced` first; then the standby takes the term."""
    async with trials.trial(promotions=1) as trial:
        cluster = trial.active.cluster
        trials.accidents.lay(trial.active, "restart_database", "exit 1\n")
        await asyncio.to_thread(cluster.kill)
        await trials.stage.becomes(trial.active, "fenced", 60)
        await trials.stage.becomes(trial.standby, "active")
        assert (await trials.stage.record(trial.active))["reason_code"] in ("handed_over", "superseded")


async def test_a_frozen_controller_does_not_hold_its_own_pause_against_the_peer(trials: Trials) -> None:
    """F8: it wakes, looks anew and sees the active node well; also when the agent froze with it."""
    async with trials.trial() as trial:
        for services in ((trial.standby.controller,), trial.standby.services):
            for service in services:
                service.pause()
            await asyncio.sleep(DETECTED_SECONDS)
            for service in services:
                service.resume()
            await trial.stays(2.0)


async def test_a_controller_killed_in_the_middle_of_a_sync_leaves_the_copy_whole(trials: Trials) -> None:
    """F9: what was applied by half is rolled back; the next sync goes on from the last complete one."""
    async with trials.trial() as trial:
        with hold_ledger(trial.standby.cluster):
            await trials.stage.ask(trial.standby, "POST", "/v1/syncs")
            await trials.stage.until(lambda: waits_for_lock(trial.standby.cluster), "the sync writes")
            await asyncio.to_thread(trial.standby.controller.kill)
        trial.standby.controller.start()
        await trials.stage.is_protected()
        await trials.stage.sync(trial.standby)


async def test_a_promotion_goes_forward_over_every_death_of_the_agent_once_the_term_is_taken(trials: Trials) -> None:
    """F10: killed before and after each act past the point of no return, it ends serving in one term."""
    async with trials.trial(promotions=1) as trial:
        steps = ["take_term.done", *(f"{act}.{when}" for act in AFTER_TERM for when in ("begun", "done"))]
        die_at(trials.accidents, trial.standby, trial.standby.agent, steps)
        async with kept_running(trial.standby.agent):
            await trials.stage.kill_host(trial.active)
            await trials.all_happen(trial.standby, steps)
            await trials.stage.becomes(trial.standby, "active")
        await trial.writes_on()


@pytest.mark.parametrize("act", rounds(["look_around"], ["stop_apply", "pre_promote", "look_around", "take_term"]))
async def test_a_promotion_whose_agent_dies_before_the_term_is_taken_is_begun_anew(trials: Trials, act: str) -> None:
    """F10: the attempt is abandoned at the start, its epoch never used; the next one takes the term."""
    async with trials.trial(promotions=1) as trial:
        die_at(trials.accidents, trial.standby, trial.standby.agent, [f"{act}.begun"])
        async with kept_running(trial.standby.agent):
            await trials.stage.kill_host(trial.active)
            await trials.all_happen(trial.standby, [f"{act}.begun"])
            await trials.stage.becomes(trial.standby, "active", 60)


async def test_a_promotion_does_not_need_its_controller_once_it_is_asked_for(trials: Trials) -> None:
    """F10: the controller dies before every act of the agent's, and is kept running; nothing is done twice."""
    async with trials.trial(promotions=1) as trial:
        steps = [f"{act}.begun" for act in ALL_ACTS]
        die_at(trials.accidents, trial.standby, trial.standby.controller, steps)
        async with kept_running(trial.standby.controller):
            await trials.stage.kill_host(trial.active)
            await trials.all_happen(trial.standby, steps)
            await trials.stage.becomes(trial.standby, "active")
        await trial.writes_on()


async def test_nobody_serves_by_itself_when_the_new_active_node_dies_too(trials: Trials) -> None:
    """F11: the old one returns and waits, because another may have been promoted; one act of a person ends it."""
    async with trials.trial(promotions=2) as trial:
        await trials.stage.kill_host(trial.active)
        await trials.stage.becomes(trial.standby, "active")
        await trial.writes_on()
        await trials.stage.kill_host(trial.standby)
        await trials.switch_on(trial.active)

        async def asks_for_a_decision() -> bool:
            return str((await trials.stage.record(trial.active))["reason_code"]) == "no_active_node"

        await trials.stage.until(asks_for_a_decision, "the node says that a person must decide")
        await trials.stage.force(trial.active)
        await trial.writes_on()


async def test_the_last_server_standing_reboots_alone_and_serves(trials: Trials) -> None:
    """F11, F15: after a failover no standby is recorded that may promote itself, so nobody else can have been."""
    async with trials.trial(promotions=1) as trial:
        await trials.stage.kill_host(trial.active)
        await trials.stage.becomes(trial.standby, "active")
        await trials.stage.kill_host(trial.standby)
        await trials.switch_on(trial.standby)
        await trials.stage.becomes(trial.standby, "active")
        await trial.writes_on()


async def test_an_old_primary_boots_fenced_and_never_serves_also_without_its_record(trials: Trials) -> None:
    """F13: with its record it knows that it is superseded, without it that it knows nothing."""
    async with trials.trial(promotions=1) as trial:
        await trials.stage.kill_host(trial.active)
        await trials.stage.becomes(trial.standby, "active")
        await trials.switch_on(trial.active)
        await trials.stage.becomes(trial.active, "fenced")
        await trials.stage.kill_host(trial.active)
        (trial.active.config.parent / "state" / "record.json").unlink()
        await trials.switch_on(trial.active)
        await trials.stage.becomes(trial.active, "fenced")
        reason = (await trials.stage.record(trial.active))["reason_code"]
        assert reason in ("state_lost", "state_rolled_back")  # the second when it still finds the copy of its record
        await asyncio.sleep(2)
        assert trial.active.agent.probe("/active") == 503


async def test_a_boot_shorter_than_the_detection_is_no_failover(trials: Trials) -> None:
    """F15: the booted node asks, the standby lets it serve on, in the same term."""
    async with trials.trial() as trial:
        await trials.stage.configure({"failures": 60})
        try:
            await trials.stage.kill_host(trial.active)
            await trials.switch_on(trial.active)
            await trials.stage.becomes(trial.active, "active")
            await trial.writes_on()
        finally:
            await trials.stage.configure({"failures": 3})
