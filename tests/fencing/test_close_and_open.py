"""Closing takes, the record holds what was taken, opening gives back exactly that: also after a crash in between."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from lab.cluster import ClusterError
from lab.roles import Rights
from shared.fencing.model import FenceStrength
from shared.postgres import sessions
from tests.fencing.conftest import NewStage
from tests.fencing.stage import CHIEF, OWNER, READER, TRAITS, Stage
from tests.tier import on_newest_major

pytestmark = on_newest_major  # both majors are in what each strength stops
CHAIN = f"""
    REVOKE CONNECT ON DATABASE shop FROM PUBLIC;
    GRANT CONNECT ON DATABASE shop TO {READER} WITH GRANT OPTION;
    SET ROLE {READER};
    GRANT CONNECT ON DATABASE shop TO {CHIEF}, warmstandby_probe;
"""


@pytest.mark.parametrize("traits", ["", TRAITS], ids=["plain", "traits"])
async def test_opening_gives_back_what_closing_took(stage: Stage, strength: str, traits: str) -> None:
    stage.cluster.psql(traits)
    fence, before = stage.fence(), stage.properties()
    assert not await fence.is_closed()
    assert await fence.is_open()
    for _ in range(2):
        await fence.close()
        assert (fence.problem, fence.strength) == (None, strength)
        assert await stage.fence().is_closed()
        assert not await fence.is_open()
    assert not stage.enters(OWNER)
    assert not stage.enters(READER)
    assert stage.enters("warmstandby")
    assert stage.enters("warmstandby_apply")
    assert (await fence.prove()).is_probed
    for _ in range(2):
        await stage.fence().open()
        assert stage.properties() == before
    assert stage.writes(OWNER)
    assert not await fence.is_closed()
    assert await fence.is_open()
    assert stage.cluster.psql("SELECT count(*) FROM fence.closed", "warmstandby") == "0"


async def test_rights_that_were_given_on(new_stage: NewStage) -> None:
    """A role that may give the right to connect has given it: a superuser gives back as that role."""
    stage = await new_stage(strength="limit", rights=Rights.SUPERUSER)
    stage.cluster.psql(CHAIN)
    before = stage.properties()
    await stage.fence().close()
    assert await stage.fence().is_closed()
    await stage.fence().open()
    assert stage.properties() == before


async def test_what_an_administrator_sets_meanwhile_stays_his(new_stage: NewStage) -> None:
    """Rights, a limit and a setting changed on a closed database are closed again, and are there when it opens."""
    stage = await new_stage(strength="limit", rights=Rights.SUPERUSER)
    fence = stage.fence()
    await fence.close()
    stage.cluster.psql(f"""
        GRANT CONNECT ON DATABASE shop TO {READER};
        ALTER DATABASE shop CONNECTION LIMIT 9;
        ALTER DATABASE shop SET default_transaction_read_only = off;""")
    wanted = "9", "default_transaction_read_only=off"
    assert not await fence.is_closed()
    await fence.close()
    assert await fence.is_closed()
    await fence.open()
    after = stage.properties()
    assert after["limit"] == wanted[0]
    assert wanted[1] in after["settings"]
    assert f"{READER} CONNECT by {OWNER}" in after["acl"]
    assert f"PUBLIC CONNECT by {OWNER}" in after["acl"]


async def test_a_role_that_is_let_in_no_more(new_stage: NewStage) -> None:
    """A right that closing itself gave is not taken for the administrator's when the settings change."""
    stage = await new_stage(strength="limit", rights=Rights.DOCUMENTED, reader_roles=[READER, "postgres"])
    before = stage.properties()
    await stage.fence().close()
    assert stage.enters(READER)
    assert not stage.writes(READER)
    other = stage.settings.fencing.model_copy(update={"reader_roles": ("postgres",)})
    changed = Stage(stage.cluster, stage.database, stage.settings.model_copy(update={"fencing": other}))
    assert not await changed.fence().is_closed()
    await changed.fence().close()
    assert not stage.enters(READER)
    assert await changed.fence().is_closed()
    await changed.fence().open()
    assert stage.properties() == before


async def test_a_database_that_is_not_there(stage: Stage, strength: str) -> None:
    """It is closed, and with the list of pg_hba.conf stays so when somebody makes it."""
    stage.database.drop()
    fence = stage.fence()
    assert await fence.is_closed() is (strength == "limit")
    await fence.close()
    assert await fence.is_closed()
    await fence.end(5)
    await fence.prove()
    stage.cluster.psql(f'CREATE DATABASE shop OWNER "{OWNER}"')
    assert await fence.is_closed() is (strength == "hba")
    assert stage.enters(OWNER) is (strength == "limit")
    await fence.close()
    assert not stage.enters(OWNER)
    await fence.open()
    assert stage.enters(OWNER)


async def test_a_hand_on_the_fence_that_does_not_move(stage: Stage) -> None:
    """A process that stands still with the lock is passed over: its session ends, and does no more."""
    async with sessions.open_session(stage.settings.postgres.dsn.get_secret_value()) as frozen:
        await frozen.execute("SELECT pg_advisory_lock(hashtextextended('warmstandby.fence', 0))")
        async with asyncio.timeout(5):
            await stage.fence().close()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await frozen.execute("SELECT 1")
    assert await stage.fence().is_closed()


async def test_the_list_alone_before_the_server_is_up(new_stage: NewStage) -> None:
    """A server that starts finds its databases closed; without the list the act does nothing."""
    stage = await new_stage(strength="hba", rights=Rights.DOCUMENTED)
    stage.cluster.stop()
    stage.fence().close_unasked()
    stage.cluster.start()
    assert not stage.enters(OWNER)
    assert await stage.fence().is_closed()
    assert stage.fence().strength is FenceStrength.LIMIT  # nothing was looked at yet
    await stage.fence().open()
    assert stage.enters(OWNER)


async def test_a_list_that_cannot_be_written(new_stage: NewStage) -> None:
    """The weaker way is taken, and said."""
    stage = await new_stage(strength="hba", rights=Rights.DOCUMENTED, hba_list="/proc/closed")
    fence = stage.fence()
    await fence.close()
    assert fence.problem is not None
    assert "/proc/closed cannot be written" in fence.problem
    assert fence.strength is FenceStrength.LIMIT
    assert await fence.is_closed()
    with pytest.raises(ClusterError, match="permission denied"):
        stage.cluster.psql("SELECT 1", "shop", user=OWNER)
