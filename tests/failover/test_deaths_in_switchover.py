"""Whatever dies at whichever step of a switchover: afterwards one node serves, in a higher term if it is the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from lab.node import Node
from lab.people import ApiError
from shared.node.model import AttemptKind
from shared.node.steps import DEMOTION, PROMOTION, Act
from tests.failover.accidents import die_at, kept_running, kill_of
from tests.failover.trial import Trial, Trials
from tests.tier import rounds

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHASES = ("syncing", "reserving", "closing", "last_sync", "promoting")
STEPS = [("standby", act) for act in PROMOTION[AttemptKind.SWITCHOVER][:-1] if act is not Act.AWAIT_HANDOVER]
STEPS += [("active", act) for act in DEMOTION[:-1]]
FEW_STEPS = [("active", Act.END_SESSIONS), ("standby", Act.TAKE_TERM), ("standby", Act.OPEN)]
WHOSE = ("active", "standby")


@pytest.mark.parametrize("phase", PHASES)
async def test_a_controller_that_dies_in_a_switchover_leaves_a_pair_that_serves(trials: Trials, phase: str) -> None:
    """F49: the agents go on, or back, without it; nothing is lost."""
    async with trials.trial(loses_nothing=True) as trial:
        die_at(trials.accidents, trial.standby, trial.standby.controller, [f"{phase}.entered"])
        async with kept_running(trial.standby.controller):
            await begin_switchover(trials, trial)
            await trials.all_happen(trial.standby, [f"{phase}.entered"])
            await ends_somewhere(trials, trial)


@pytest.mark.parametrize("whose", WHOSE)
@pytest.mark.parametrize(("at", "act"), rounds(FEW_STEPS, STEPS))
async def test_an_agent_that_dies_in_a_switchover_comes_back_to_a_pair_that_serves(
    trials: Trials, at: str, act: Act, whose: str
) -> None:
    """F49: killed before an act of either side and started again as its unit would; nothing is lost."""
    async with trials.trial(loses_nothing=True) as trial:
        victim, step = named(trial, whose), f"{act}.begun"
        trials.accidents.lay(named(trial, at), step, kill_of(victim.agent))
        async with kept(victim):
            await begin_switchover(trials, trial)
            await trials.all_happen(named(trial, at), [step])
            await ends_somewhere(trials, trial)


@pytest.mark.parametrize("whose", WHOSE)
@pytest.mark.parametrize(("at", "act"), rounds(FEW_STEPS, STEPS))
@pytest.mark.parametrize("is_host", [False, True], ids=["database", "host"])
async def test_a_server_that_dies_in_a_switchover_leaves_a_pair_that_serves(
    trials: Trials, at: str, act: Act, whose: str, *, is_host: bool
) -> None:
    """F49: PostgreSQL alone, or the host with all on it, dies before an act of either side, and boots soon."""
    async with trials.trial(loses_nothing=False) as trial:
        victim, step = named(trial, whose), f"{act}.begun"
        services = victim.services if is_host else ()
        trials.accidents.lay(named(trial, at), step, kill_of(*services, cluster=victim.cluster))
        await begin_switchover(trials, trial)
        await trials.all_happen(named(trial, at), [step])
        await trials.stage.until(lambda: is_dead(victim, is_host=is_host), "it has died")
        await ends_somewhere(trials, trial)


async def is_dead(node: Node, *, is_host: bool) -> bool:
    """Say whether the script has killed all that it names."""
    services = node.services if is_host else ()
    return not node.cluster.is_running and not any(service.is_running for service in services)


def named(trial: Trial, role: str) -> Node:
    """Return the node that had a role when the trial began."""
    return trial.active if role == "active" else trial.standby


@asynccontextmanager
async def kept(node: Node) -> AsyncIterator[None]:
    """Keep both services of a node running for the time of a block."""
    async with AsyncExitStack() as stack:
        for service in node.services:
            await stack.enter_async_context(kept_running(service))
        yield


async def begin_switchover(trials: Trials, trial: Trial) -> None:
    """Ask for a switchover; whoever answers may die of it at once."""
    try:
        await trials.stage.ask(trial.standby, "POST", "/v1/switchover", {"reason": "trial"})
    except ApiError as error:
        if error.status is not None:
            raise


async def ends_somewhere(trials: Trials, trial: Trial) -> None:
    """Wait until one node serves and no act is left; both outcomes are right, the judge needs to know which it is."""
    serving = await trials.heal()
    trial.promotions = int(serving is trial.standby)
