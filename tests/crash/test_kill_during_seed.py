"""A full copy broken off by a death: readers keep the old copy or have the new one, and the next sync goes on alone."""

from __future__ import annotations

import random

import pytest

from tests.crash.stage import Part, Stage, at_phase
from tests.tier import rounds

#: Who dies, in which phase of the full copy, and at most how long after the phase began.
KILLS = [(Part.CONTROLLER, "indexes", 0.6)]
PHASES = (("opening", 0.5), ("schema", 0.5), ("copying", 2.0), ("indexes", 2.0), ("swapping", 0.05))
MORE_KILLS = [(Part.AGENT, "copying", 0.15)]
MORE_KILLS += [(part, phase, seconds) for part in Part for phase, seconds in PHASES]


@pytest.mark.parametrize(("part", "phase", "longest_seconds"), rounds(KILLS, [*KILLS, *MORE_KILLS]))
async def test_a_killed_seed_leaves_the_old_copy_and_the_next_sync_goes_on(
    stage: Stage, chance: random.Random, part: Part, phase: str, longest_seconds: float
) -> None:
    """Whoever dies, the copy is a whole generation at every moment, and nobody has to clean up."""
    await stage.data.reshape()
    await stage.strike(part, at_phase(phase, kind="seed"), delay_seconds=chance.uniform(0, longest_seconds))


async def test_a_death_in_the_swap_leaves_one_of_both_copies(stage: Stage, chance: random.Random) -> None:
    """The two renames are one transaction: whoever connects finds the old database or the new one."""
    for part in (Part.TARGET, Part.CONTROLLER) * rounds(1, 4):
        await stage.data.reshape()
        await stage.strike(part, stage.is_swapping, delay_seconds=chance.uniform(0, 0.08))
