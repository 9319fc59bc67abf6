"""What each strength stops: the table of README.md, tried row by row on real servers."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
import pytest

from lab.binaries import TREE
from lab.cluster import ClusterError
from lab.database import Database
from lab.roles import Rights
from shared.errors import FenceIncomplete
from shared.fencing.fence import Fence
from tests.fencing.conftest import NewStage
from tests.fencing.stage import CHIEF, OWNER, Stage

END_SECONDS: Final = 10.0
SHORT_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """A way to write after the fence, in the words of README.md, and which strength stops it."""

    text: str
    hba: bool
    limit: bool


STOPPED: Final = {
    "owner": Row("the owner of the database, by a new connection", hba=True, limit=True),
    "options": Row("the same with `PGOPTIONS` or `BEGIN READ WRITE`", hba=True, limit=True),
    "lifting": Row("the owner, who gives himself the right to connect from another database", hba=True, limit=False),
    "superuser": Row("a superuser, by a new connection", hba=True, limit=False),
    "session": Row("a session from before, of whatever rank", hba=True, limit=True),
    "prepared": Row("`COMMIT PREPARED` of a transaction from before", hba=True, limit=True),
    "prepared by chief": Row("`COMMIT PREPARED` by a superuser", hba=True, limit=False),
    "worker": Row("a job worker that connects again and again", hba=True, limit=True),
    "worker as chief": Row("a job worker that is a superuser", hba=True, limit=False),
    "subscription": Row("a subscription of native logical replication", hba=True, limit=True),
    "swap": Row("anybody, once a seed has swapped a new copy in", hba=True, limit=True),
    "rename": Row("anybody, once somebody has renamed another database to this name", hba=True, limit=False),
}


def is_stopped(row: str, strength: str) -> bool:
    """Return what the table says."""
    return bool(getattr(STOPPED[row], strength))


async def fence_off(stage: Stage) -> None:
    """Close, end, prove."""
    fence = stage.fence()
    await fence.close()
    await fence.end(END_SECONDS)
    await fence.prove()


async def test_new_connections_of_the_application(stage: Stage, strength: str) -> None:
    """The owner is an ordinary role, and a superuser one that only pg_hba.conf stops; neither by any option."""
    await fence_off(stage)
    assert stage.writes(OWNER) is not is_stopped("owner", strength)
    assert stage.writes(CHIEF, "BEGIN READ WRITE; INSERT INTO goods VALUES (7, 'chief'); COMMIT") is not is_stopped(
        "superuser", strength
    )
    options = {"default_transaction_read_only": "off"}
    with contextlib.suppress(asyncpg.PostgresError):
        async with stage.session(OWNER, server_settings=options) as session:
            await session.execute("INSERT INTO goods VALUES (8, 'options')")
    assert ("8" not in stage.database.psql("SELECT id FROM goods")) is is_stopped("options", strength)


async def test_the_owner_lifts_what_he_may(stage: Stage, strength: str) -> None:
    """From another database; the watch finds it and closes again."""
    await fence_off(stage)
    fence = stage.fence()
    assert await fence.is_closed()
    stage.cluster.psql("GRANT CONNECT ON DATABASE shop TO PUBLIC; ALTER DATABASE shop CONNECTION LIMIT 5", user=OWNER)
    assert stage.enters(OWNER) is not is_stopped("lifting", strength)
    assert await fence.is_closed() is is_stopped("lifting", strength)
    await fence.close()
    assert await fence.is_closed(), fence.opening
    assert not stage.enters(OWNER)


@pytest.mark.parametrize("role", [OWNER, CHIEF])
async def test_a_session_from_before(stage: Stage, strength: str, role: str) -> None:
    """Its open transaction is rolled back, whatever the rank of its role."""
    async with stage.session(role) as idle, stage.session(role) as busy:
        await busy.execute("BEGIN; INSERT INTO goods VALUES (5, 'uncommitted')")
        await fence_off(stage)
        for session in (idle, busy):
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                await session.execute("INSERT INTO goods VALUES (6, 'after'); COMMIT")
        await asyncio.sleep(0.1)
    assert (stage.count() == 1) is is_stopped("session", strength)


async def test_a_prepared_transaction_from_before(stage: Stage, strength: str) -> None:
    """It is told of; who gets in can commit it. Rolled back, nobody can."""
    for gid, role in (("by owner", OWNER), ("by chief", CHIEF)):
        async with stage.session(role) as session:
            await session.execute(f"BEGIN; INSERT INTO goods VALUES (length('{gid}{role}'), 'x')")
            await session.execute(f"PREPARE TRANSACTION '{gid}'")
    fence = stage.fence()
    await fence.close()
    with pytest.raises(FenceIncomplete, match="prepared transaction 'by owner' of shop owner") as caught:
        await fence.end(END_SECONDS)
    assert len(caught.value.prepared) == 2
    rows = "prepared", "prepared by chief"
    for row, gid, role in zip(rows, ("by owner", "by chief"), (OWNER, CHIEF), strict=True):
        assert stage.writes(role, f"COMMIT PREPARED '{gid}'") is not is_stopped(row, strength)
    if is_stopped(rows[1], strength):
        stage.database.psql("ROLLBACK PREPARED 'by chief'")  # a superuser's, which our ordinary role may not
    await fence.rollback_prepared()
    assert await fence.list_prepared() == []
    await fence.end(END_SECONDS)
    await fence.prove()


WORKER: Final = """
import asyncio, asyncpg, itertools, sys
ENDED = asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError
async def work(dsn):
    numbers = itertools.count(1000)
    while True:
        try:
            session = await asyncpg.connect(dsn)
            for number in numbers:
                await session.execute(f"BEGIN READ WRITE; INSERT INTO goods VALUES ({number}, 'job'); COMMIT")
        except ENDED:
            await asyncio.sleep(0)
asyncio.run(work(sys.argv[1]))
"""


@contextmanager
def job_worker(stage: Stage, role: str) -> Iterator[None]:
    """Write in a loop, and connect again at once whenever the session is ended."""
    worker = subprocess.Popen([sys.executable, "-c", WORKER, stage.cluster.dsn("shop", role)])
    try:
        yield
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.parametrize("role", [OWNER, CHIEF])
async def test_a_job_worker_that_comes_again(stage: Stage, strength: str, role: str) -> None:
    """Where it cannot be kept out, the fence does not say that it was."""
    row = "worker" if role == OWNER else "worker as chief"
    with job_worker(stage, role):
        await stage.wait_rows(10)
        fence = stage.fence()
        await fence.close()
        if is_stopped(row, strength):
            await fence.end(END_SECONDS)
            await fence.prove()
            seen = stage.count()
            await asyncio.sleep(0.3)
            assert stage.count() == seen
        else:
            with pytest.raises(FenceIncomplete, match=f"inside.*{role} in shop"):
                await _end_and_prove(fence)


async def _end_and_prove(fence: Fence) -> None:
    """The worker may be outside at the moment of one look, never at two that are apart."""
    await fence.end(SHORT_SECONDS)
    await fence.prove()


async def test_a_swap_and_a_rename_after_the_fence(stage: Stage, strength: str) -> None:
    """A shadow is closed before it is swapped in; what somebody renames by hand is found by the watch."""
    await fence_off(stage)
    fence = stage.fence()
    for name, row in (("ws_shadow", "swap"), ("by_hand", "rename")):
        with contextlib.suppress(ClusterError):
            Database(stage.cluster, name).drop()
        stage.cluster.psql(f'CREATE DATABASE {name} TEMPLATE shop OWNER "{OWNER}"')
        before = stage.cluster.psql(f"SELECT datacl FROM pg_database WHERE datname = '{name}'")
        assert before == ""
        if row == "swap":
            await fence.close_shadow(name)
        stage.cluster.psql(
            f"BEGIN; ALTER DATABASE shop RENAME TO old_{name}; ALTER DATABASE {name} RENAME TO shop; COMMIT"
        )
        assert stage.writes(OWNER) is not is_stopped(row, strength)
        assert await fence.is_closed() is is_stopped(row, strength)
        Database(stage.cluster, f"old_{name}").drop()
    await fence_off(stage)
    assert not stage.writes(OWNER)
    await fence.open()
    assert stage.writes(OWNER)


@pytest.mark.parametrize("strength", ["hba", "limit"])
async def test_a_subscription(new_stage: NewStage, strength: str) -> None:
    """It writes without any client's session; its own server is the publisher here."""
    stage = await new_stage(strength=strength, rights=Rights.SUPERUSER)
    publisher = Database.create(stage.cluster, "publisher")
    try:
        publisher.psql("CREATE TABLE goods (id int PRIMARY KEY, name text); CREATE PUBLICATION wares FOR TABLE goods")
        publisher.psql("SELECT pg_create_logical_replication_slot('wares', 'pgoutput')")
        stage.database.psql(
            f"CREATE SUBSCRIPTION wares CONNECTION '{publisher.dsn}' PUBLICATION wares "
            "WITH (create_slot = false, slot_name = 'wares', copy_data = false)"
        )
        publisher.psql("INSERT INTO goods VALUES (10, 'published')")
        await stage.wait_rows(2)
        before = stage.properties()
        await fence_off(stage)
        publisher.psql("INSERT INTO goods VALUES (11, 'published')")
        await asyncio.sleep(0.5)
        assert (stage.count() == 2) is is_stopped("subscription", strength)
        await stage.fence().open()
        assert stage.properties() == before
        await stage.wait_rows(3)
    finally:
        stage.database.drop()
        publisher.drop()


def test_the_readme_has_this_table() -> None:
    """An administrator reads there what was tried here."""
    section = (TREE / "README.md").read_text(encoding="utf-8").partition("## Fencing")[2]
    words = {True: "stopped", False: "passes"}
    for row in STOPPED.values():
        assert f"| {row.text} | {words[row.hba]} | {words[row.limit]} |" in section, row.text
