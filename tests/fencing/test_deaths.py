"""A process that closes or opens dies, or is cancelled, at any moment: the next one finds all that it needs."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from lab.roles import Rights
from shared.errors import PostgresError
from tests.fencing.conftest import NewStage
from tests.fencing.cut import cut_at
from tests.fencing.stage import TRAITS, Stage
from tests.tier import on_newest_major, rounds

pytestmark = on_newest_major
_PARTS = {
    ("hba", "close"): ("pg_reload_conf",),
    ("hba", "open"): ("pg_reload_conf",),
    ("limit", "close"): (
        "INSERT INTO fence.closed",
        "REVOKE CONNECT",
        "CONNECTION LIMIT 0",
        "read_only = on",
        "COMMIT",
    ),
    ("limit", "open"): (
        "GRANT CONNECT",
        "CONNECTION LIMIT 7",
        "read_only = 'off'",
        "DELETE FROM fence.closed",
        "COMMIT",
    ),
}


@pytest.mark.parametrize("act", ["close", "open"])
@pytest.mark.parametrize("strength", rounds(["hba"], ["hba", "limit"]))
async def test_a_death_between_any_two_statements(new_stage: NewStage, strength: str, act: str) -> None:
    """Done again by a new process, closing is closed, and opening gives back what was there before the first."""
    stage = await new_stage(strength=strength, rights=Rights.SUPERUSER)
    stage.cluster.psql(TRAITS)
    await stage.fence().close()
    await stage.fence().open()
    before, seen, number = stage.properties(), list[str](), 1
    while len(seen) == number - 1:
        if act == "open":
            await stage.fence().close()
        async with cut_at(stage.cluster.port, number, seen) as port:
            dying = stage.through(port).fence()
            with contextlib.suppress(PostgresError):
                await (dying.close() if act == "close" else dying.open())
        if act == "close":
            await stage.fence().close()
            assert await stage.fence().is_closed(), seen[-1]
        await stage.fence().open()
        assert stage.properties() == before, seen[-1]
        number += 1
    for part in _PARTS[strength, act]:
        assert any(part in statement for statement in seen), part


async def test_an_act_that_is_cancelled(stage: Stage) -> None:
    """At any moment; the next one does all of it."""
    stage.cluster.psql(TRAITS)
    before = stage.properties()
    for milliseconds in range(1, 60, 4):
        for act in (stage.fence().close, stage.fence().open):
            task = asyncio.ensure_future(act())
            await asyncio.sleep(milliseconds / 1000)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    await stage.fence().close()
    assert await stage.fence().is_closed()
    await stage.fence().open()
    assert stage.properties() == before
