"""A delta broken off by a death: its one transaction is there or not, and the next delta goes on from what is there."""

from __future__ import annotations

import random

import pytest

from tests.crash.stage import Part, Stage, at_phase
from tests.tier import rounds

#: Who dies, in which phase of the delta, and at most how long after the phase began.
KILLS = [(Part.TARGET, "applying", 0.3)]
MORE_KILLS = [(part, phase, 0.6) for part in Part for phase in ("opening", "copying", "applying")] * 2


@pytest.mark.parametrize(("part", "phase", "longest_seconds"), rounds(KILLS, [*KILLS, *MORE_KILLS]))
async def test_a_killed_delta_leaves_the_old_copy_or_the_new_one(
    stage: Stage, chance: random.Random, part: Part, phase: str, longest_seconds: float
) -> None:
    """Whoever dies, the copy is a whole generation at every moment, and the next sync is a delta again."""
    succeeded = await stage.strike(part, at_phase(phase), delay_seconds=chance.uniform(0, longest_seconds))
    assert [part["kind"] for part in succeeded["components"]] == ["delta"]
