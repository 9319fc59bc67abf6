"""The role that applies is stopped: what of it still stands somewhere cannot commit, and nothing of it begins again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from lab.binaries import TREE
from lab.roles import APPLY_ROLE, NODE_ROLE, Rights
from services.standby_controller.apply.cursor import hold_guard, hold_node_guard
from shared.clock import SystemClock
from shared.errors import ApplyNotStopped, GuardClosed, LoginRefused
from shared.fencing.fence import Fence
from shared.postgres.application import install_application_schema
from shared.postgres.sessions import open_session
from tests.fencing.conftest import NewStage
from tests.fencing.stage import Stage, without_lent_rights

SECONDS: Final = 5.0


def dsn_of(stage: Stage) -> str:
    return stage.settings.postgres.dsn.get_secret_value()


def apply_dsn_of(stage: Stage) -> str:
    return stage.settings.postgres.apply_dsn.get_secret_value()


async def install(stage: Stage) -> None:
    """Make our schema in the application's database, as a seed does."""
    async with open_session(dsn_of(stage), database="shop") as session:
        await install_application_schema(session)


def guards(stage: Stage) -> tuple[str, str]:
    """Return both guard rows."""
    query = "SELECT accepts_apply FROM {}.guard"
    return stage.cluster.psql(query.format("agent"), "warmstandby"), stage.database.psql(query.format("warmstandby"))


def may_login(stage: Stage) -> bool:
    return stage.cluster.psql(f"SELECT rolcanlogin FROM pg_roles WHERE rolname = '{APPLY_ROLE}'") == "t"


APPLYING: Final = """
import asyncio, sys
sys.path.insert(0, sys.argv[3])
from services.standby_controller.apply.cursor import hold_guard, hold_node_guard
from shared.postgres.sessions import open_session
from tests.tier import on_newest_major

pytestmark = on_newest_major  # both majors are in what each strength stops
async def apply(dsn, database):
    async with open_session(dsn, database=database) as session:
        async with session.transaction():
            if database == "shop":
                await hold_guard(session, database)
                await session.execute("INSERT INTO public.goods VALUES (99, 'old term')")
            else:
                await hold_node_guard(session)
            print("holds", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
    print("committed", flush=True)
asyncio.run(apply(sys.argv[1], sys.argv[2]))
"""


@contextmanager
def frozen_controller(stage: Stage, database: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that applies in a transaction, and freeze it there."""
    command = [sys.executable, "-c", APPLYING, apply_dsn_of(stage), database, str(TREE)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        process.send_signal(signal.SIGSTOP)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("database", ["shop", "warmstandby"])
async def test_a_frozen_controller_cannot_commit(new_stage: NewStage, rights: Rights, database: str) -> None:
    """Its session holds the guard row, idle in a transaction; thawed after the promotion it finds no session."""
    stage = await new_stage(strength="hba", rights=rights)
    await install(stage)
    with frozen_controller(stage, database) as process:
        begun = time.monotonic()
        await stage.fence().stop_apply(SECONDS)
        assert time.monotonic() - begun < 1.0
        process.send_signal(signal.SIGCONT)
        said, error = await asyncio.to_thread(process.communicate, "go on\n")
    assert "committed" not in said
    assert "Error" in error
    assert stage.count() == 1
    assert guards(stage) == ("f", "f")
    assert not may_login(stage)
    with pytest.raises(LoginRefused):
        async with open_session(apply_dsn_of(stage)):
            pass


async def test_it_goes_on(stage: Stage) -> None:
    """Stopped twice, let go twice; in between, whoever holds a session of another role finds the guards closed."""
    await install(stage)
    fence = stage.fence()
    async with open_session(dsn_of(stage)) as node, open_session(dsn_of(stage), database="shop") as application:
        for _ in range(2):
            await fence.stop_apply(SECONDS)
        for session, hold in ((node, hold_node_guard(node)), (application, hold_guard(application, "shop"))):
            with pytest.raises(GuardClosed):
                async with session.transaction():
                    await hold
        for _ in range(2):
            await fence.resume_apply()
        async with node.transaction(), application.transaction():
            await hold_node_guard(node)
            await hold_guard(application, "shop")
    assert guards(stage) == ("t", "t")
    async with open_session(apply_dsn_of(stage)):
        pass


async def test_what_is_not_there_guards_nothing(new_stage: NewStage) -> None:
    """A component without our schema, or without its database, is no error."""
    stage = await new_stage(strength="limit", rights=Rights.DOCUMENTED)
    await stage.fence().stop_apply(SECONDS)
    stage.database.drop()
    await stage.fence().stop_apply(SECONDS)
    await stage.fence().resume_apply()
    assert may_login(stage)


async def test_a_backend_that_does_not_end(new_stage: NewStage) -> None:
    """It is told at the deadline, and the next attempt finds it gone."""
    stage = await new_stage(strength="hba", rights=Rights.DOCUMENTED)
    async with open_session(apply_dsn_of(stage)) as session:
        pid = session.get_server_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(ApplyNotStopped, match=r"within 0\.5 s: ending its sessions"):
                await stage.fence().stop_apply(0.5)
        finally:
            os.kill(pid, signal.SIGCONT)
        await stage.fence().stop_apply(SECONDS)
    assert guards_of_node(stage) == "f"


def guards_of_node(stage: Stage) -> str:
    return stage.cluster.psql("SELECT accepts_apply FROM agent.guard", "warmstandby")


async def test_without_the_lent_rights(new_stage: NewStage) -> None:
    """An older installation: sessions end and guards close all the same; the login stays, which the log tells."""
    stage = await new_stage(strength="hba", rights=Rights.DOCUMENTED)
    await install(stage)
    async with open_session(apply_dsn_of(stage)) as session:
        with without_lent_rights(stage.cluster):
            await stage.fence().stop_apply(SECONDS)
        assert guards(stage) == ("f", "f")
        await asyncio.sleep(0.05)
        assert session.is_closed()
    assert may_login(stage)


async def test_an_applying_role_that_is_a_superuser(new_stage: NewStage) -> None:
    """The lent right ends its sessions too; roles.sql run again on a promoted node gives it no login."""
    stage = await new_stage(strength="hba", rights=Rights.DOCUMENTED)
    stage.cluster.psql(f"ALTER ROLE {APPLY_ROLE} SUPERUSER")
    try:
        async with open_session(apply_dsn_of(stage)) as session:
            await stage.fence().stop_apply(SECONDS)
            await asyncio.sleep(0.05)
            assert session.is_closed()
    finally:
        stage.cluster.psql(f"ALTER ROLE {APPLY_ROLE} NOSUPERUSER")
    assert not may_login(stage)


async def test_one_role_for_both(new_stage: NewStage) -> None:
    """It cannot be stopped without stopping ourselves: that is said before anything is done."""
    stage = await new_stage(strength="hba", rights=Rights.DOCUMENTED)
    one = stage.settings.postgres.model_copy(update={"apply_dsn": stage.settings.postgres.dsn})
    fence = Fence(stage.settings.model_copy(update={"postgres": one}), SystemClock())
    with pytest.raises(ApplyNotStopped, match=f"role {NODE_ROLE} applies and is our own role"):
        await fence.stop_apply(SECONDS)
