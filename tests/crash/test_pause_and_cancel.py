"""A sync whose parts stand still for a while, and one that a person cancels: delayed or undone, never half done."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.crash.generations import reading
from tests.crash.stage import Part, Stage, asking, at_phase, check_answers
from tests.tier import rounds

PAUSES = [
    (Part.CONTROLLER, "copying", "seed"),
    *rounds(
        [],
        [
            (part, phase, kind)
            for part in Part
            for phase, kind in (("schema", "seed"), ("indexes", "seed"), ("copying", "delta"), ("applying", "delta"))
        ],
    ),
]
CANCELS = [
    ("indexes", "seed"),
    ("applying", "delta"),
    *rounds(
        [],
        [
            ("schema", "seed"),
            ("copying", "delta"),
            ("opening", "delta"),
            *[("copying", "seed"), ("indexes", "seed"), ("swapping", "seed")] * 2,
        ],
    ),
]


@pytest.mark.parametrize(("part", "phase", "kind"), PAUSES)
async def test_a_part_that_stands_still_only_delays_a_sync(
    stage: Stage, chance: random.Random, part: Part, phase: str, kind: str
) -> None:
    """Frozen and thawed: what was under way is finished, with the same connections and the same snapshot."""
    before, after = stage.data.now, await stage.data.advance()
    if kind == "seed":
        await stage.data.reshape()
    async with reading(stage.copy_dsn) as reader:
        paused = await stage.sync_until(
            at_phase(phase, kind=kind), lambda: stage.pause(part), delay_seconds=chance.uniform(0, 0.2)
        )
        await asyncio.sleep(chance.uniform(1.0, rounds(2.0, 8.0)))
        stage.resume(part)
        ended = await stage.read_end(paused["id"])
        await reader.read()
    assert ended["result"] == "succeeded", ended["failure"]
    assert reader.wrong == []
    assert set(reader.seen) <= {before, after}
    await stage.recover()


@pytest.mark.parametrize(("phase", "kind"), CANCELS)
async def test_a_cancelled_sync_leaves_the_old_copy_and_nothing_else(
    stage: Stage, chance: random.Random, phase: str, kind: str
) -> None:
    """Whatever was begun on the standby is gone when the sync has ended, not only after the next one."""
    before, after = stage.data.now, await stage.data.advance()
    if kind == "seed":
        await stage.data.reshape()
    async with reading(stage.copy_dsn) as reader, asking(stage) as answers:
        sync = await stage.sync_until(at_phase(phase, kind=kind), delay_seconds=chance.uniform(0, 0.2))
        await stage.cancel(sync["id"])
        ended = await stage.read_end(sync["id"])
        await stage.check_nothing_left()
        await reader.read()
        seen = reader.seen[-1]
        await stage.recover()
        await reader.read()
    assert ended["result"] in ("cancelled", "succeeded"), ended
    assert ended["result"] == "cancelled" or seen == after
    assert seen == before or phase in ("applying", "swapping") or ended["result"] == "succeeded"
    assert reader.wrong == []
    assert set(reader.seen) == {before, after}
    check_answers(answers)
