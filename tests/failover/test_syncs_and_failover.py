"""Syncs, switchovers and failovers at the same time, deaths amid them, and what must not be waited for."""

from __future__ import annotations

import asyncio

import pytest

from lab.people import ApiError
from tests.failover.accidents import hold_control_database, hold_ledger, waits_for_lock
from tests.failover.stage import DATABASE
from tests.failover.trial import Trial, Trials
from tests.tier import rounds

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_syncs_do_not_overlap_and_two_operators_do_not_both_win(trials: Trials) -> None:
    """F43, F47: a second sync and a second switchover are refused with 409 and a code, the first goes on."""
    async with trials.trial(promotions=1, loses_nothing=True) as trial:
        with hold_ledger(trial.standby.cluster):
            await trials.stage.ask(trial.standby, "POST", "/v1/syncs")
            await trials.stage.until(lambda: waits_for_lock(trial.standby.cluster), "the sync writes")
            assert await refusal(trials, trial, "/v1/syncs") == (409, "sync_running")
        await trials.stage.until(lambda: is_idle(trials, trial), "the sync ends")
        answers = await asyncio.gather(
            *(trials.stage.ask(trial.standby, "POST", "/v1/switchover", {"reason": "trial"}) for _ in range(2)),
            return_exceptions=True,
        )
        refused = [answer for answer in answers if isinstance(answer, ApiError)]
        assert [(error.status, error.code) for error in refused] == [(409, "transition_running")]
        await trials.stage.becomes(trial.standby, "active")
        late = await refusal(trials, trial, "/v1/switchover", {"expected_term": trial.highest_epoch})
        assert late[0] == 409
        assert late[1]


async def test_a_failover_amid_a_sync_stands_at_the_last_complete_one(trials: Trials) -> None:
    """F44: the session that applies is ended by the promotion, frozen in its transaction it cannot commit later."""
    async with trials.trial(promotions=1) as trial:
        covered = trials.stage.synced_at
        with hold_ledger(trial.standby.cluster):
            await trials.stage.ask(trial.standby, "POST", "/v1/syncs")
            await trials.stage.until(lambda: waits_for_lock(trial.standby.cluster), "the sync writes")
            await trials.stage.kill_host(trial.active)
            await trials.stage.becomes(trial.standby, "active")
            assert not await waits_for_lock(trial.standby.cluster)
        await trial.writes_on()
        trials.stage.synced_at = covered
        trials.stage.check_covered(trial.standby)
        copied = {row for row in trials.stage.rows(trial.standby) if row[0] == trial.stayer.name}
        numbers = sorted(number for _, number in copied)
        assert numbers == list(range(1, len(numbers) + 1)), "a sync was applied by half"


async def test_a_copy_that_was_never_complete_is_not_promoted(trials: Trials) -> None:
    """F45: the copy is gone when the active node dies; the standby says `unsynced` and stays one."""
    async with trials.trial() as trial:
        standby = trial.standby.cluster
        await asyncio.to_thread(trial.standby.controller.kill)
        await asyncio.to_thread(standby.psql, f"DROP DATABASE {DATABASE} WITH (FORCE)")
        trial.standby.controller.start()
        await trials.stage.until(lambda: shows(trials, trial, "unsynced"), "the standby is known to have no copy")
        await trials.stage.kill_host(trial.active)
        await trial.sees(trial.standby, "peer_lost")
        await trial.stays(2)


async def test_a_hook_that_fails_hangs_or_forks_is_ended_and_vetoes(trials: Trials) -> None:
    """F51: exit 1, a hang and a forked child each stop the switchover; no process of the hook is left."""
    async with trials.trial() as trial:
        mark = f"sleep 98{trial.standby.agent.pid}"
        for script in ("exit 1\n", f"{mark}\n", f"{mark} & setsid {mark} & wait\n"):
            hook = trials.accidents.lay(trial.standby, "pre_promote", script)
            change = await trials.stage.change(trial.standby, "/v1/switchover", {"reason": "trial"})
            assert change["failure"] is not None
            await trials.stage.becomes(trial.standby, "standby")
            await trials.stage.becomes(trial.active, "active")
            hook.unlink()
        found = await asyncio.create_subprocess_exec("pgrep", "-f", mark, stdout=asyncio.subprocess.PIPE)
        assert (await found.communicate())[0] == b""


async def test_an_attempt_that_is_given_up_changes_nothing_for_the_active_node(trials: Trials) -> None:
    """An abandoned attempt: its epoch is lost, the active node serves on and the next sync works."""
    async with trials.trial() as trial:
        hook = trials.accidents.lay(trial.standby, "pre_promote", "exit 1\n")
        change = await trials.stage.change(trial.standby, "/v1/switchover", {"reason": "trial"})
        assert change["failure"]["hint"]
        hook.unlink()
        await trials.stage.sync(trial.standby)
        await trial.writes_on(trial.stayer)


async def test_a_promotion_does_not_wait_for_the_control_database(trials: Trials) -> None:
    """F50: Warmstandby's own tables are locked against everybody on the standby while the active node dies."""
    async with trials.trial(promotions=1) as trial:
        with hold_control_database(trial.standby.cluster):
            await trials.stage.kill_host(trial.active)
            await trials.stage.becomes(trial.standby, "active", 20)
            await trial.writes_on()


async def test_failovers_returns_and_switchbacks_follow_each_other(trials: Trials) -> None:
    """Each cycle as the first: detection works, the configuration is equal, the roles are as at the beginning."""
    for number in range(rounds(2, 10)):
        async with trials.trial(promotions=1) as trial:
            await trials.stage.kill_host(trial.active)
            await trials.stage.becomes(trial.standby, "active")
        await trials.stage.configure({"cooldown_seconds": 0, "agent_down_seconds": 3 + number})
        async with trials.trial(promotions=1, loses_nothing=True) as trial:
            change = await trials.stage.change(trial.standby, "/v1/switchover", {"reason": "back"})
            assert change["failure"] is None, change
            await trials.stage.becomes(trial.active, "standby")
    await trials.stage.configure({"agent_down_seconds": 3})


async def refusal(trials: Trials, trial: Trial, path: str, body: dict[str, object] | None = None) -> tuple[int, str]:
    """Ask for what is refused and return how."""
    with pytest.raises(ApiError) as caught:
        await trials.stage.ask(trial.standby, "POST", path, body)
    return caught.value.status or 0, caught.value.code or ""


async def is_idle(trials: Trials, trial: Trial) -> bool:
    """Say whether the standby's last sync has ended."""
    syncs = (await trials.stage.ask(trial.standby, "GET", "/v1/syncs?limit=1"))["items"]
    return bool(syncs) and syncs[0]["result"] != "running"


async def shows(trials: Trials, trial: Trial, code: str) -> bool:
    """Say whether the standby names this reason for not being protected."""
    return any(reason["code"] == code for reason in (await trials.stage.status(trial.standby))["reasons"])
