"""Ending who is inside: as far as rights reach, also who was on the way in; and what a proof says."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
import pytest

from lab.cluster import Cluster
from lab.roles import Rights
from shared.errors import FenceIncomplete
from tests.fencing.conftest import NewStage
from tests.fencing.stage import CHIEF, OWNER, READER, Stage, without_lent_rights
from tests.tier import on_newest_major

pytestmark = on_newest_major  # both majors are in what each strength stops

SECONDS = 5.0


async def test_a_superuser_inside_without_the_lent_rights(new_stage: NewStage) -> None:
    """Ordinary sessions end; the superuser's is named, with what to do about it."""
    stage = await new_stage(strength="hba", rights=Rights.DOCUMENTED)
    fence, lent = stage.fence(), without_lent_rights(stage.cluster)
    async with stage.session(OWNER) as ordinary, stage.session(CHIEF) as chief:
        await fence.close()
        with lent, pytest.raises(FenceIncomplete, match=r"pid .* of chief in shop") as caught:
            await fence.end(0.5)
        assert len(caught.value.sessions) == 1
        assert "docs/roles.sql" in caught.value.hint
        assert ordinary.is_closed()
        with pytest.raises(FenceIncomplete, match=r"inside: pid .* of chief in shop"):
            await fence.prove()
        assert not await fence.is_closed()
        assert fence.opening is not None
        assert "chief" in fence.opening
        await chief.close()
        await asyncio.sleep(0.1)
    await fence.end(SECONDS)
    await fence.prove()


async def test_the_lent_right_reaches_no_further(new_stage: NewStage) -> None:
    """Only databases whose owner we act for; and nobody else may use it."""
    stage = await new_stage(strength="hba", rights=Rights.DOCUMENTED)
    elsewhere = await asyncpg.connect(stage.cluster.dsn("postgres"))
    own = await asyncpg.connect(stage.settings.postgres.dsn.get_secret_value())
    try:
        assert await own.fetchval("SELECT lent.end_sessions($1)", [elsewhere.get_server_pid()]) == 0
        assert await elsewhere.fetchval("SELECT 1") == 1
    finally:
        await own.close()
        await elsewhere.close()
    applying = await asyncpg.connect(stage.settings.postgres.apply_dsn.get_secret_value())
    probing = await asyncpg.connect(stage.cluster.dsn("warmstandby", "warmstandby_probe"))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only warmstandby may change"):
            await applying.execute("SELECT lent.set_apply_login(true)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await probing.execute("SELECT lent.end_sessions('{1}')")
    finally:
        await applying.close()
        await probing.close()


async def test_readers_from_before_end_once_and_may_come_again(new_stage: NewStage) -> None:
    """What a reader had begun to write is rolled back; afterwards it looks, read-only unless it wants otherwise."""
    stage = await new_stage(strength="limit", rights=Rights.DOCUMENTED, reader_roles=[READER])
    stage.cluster.psql(f"GRANT SELECT ON goods TO {READER}", "shop")
    fence = stage.fence()
    async with stage.session(READER) as before:
        await fence.close()
        await fence.end(SECONDS)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await before.fetchval("SELECT 1")
    async with stage.session(READER) as after:
        assert await after.fetchval("SELECT count(*) FROM goods") == 1
        assert await after.fetchval("SHOW default_transaction_read_only") == "on"
        await fence.prove()
        await fence.close()
        assert await fence.is_closed()
        assert await after.fetchval("SELECT 1") == 1


@contextmanager
def asking_for_passwords(cluster: Cluster) -> Iterator[None]:
    """Have the server ask the owner for a password, so that a connection can wait there."""
    rules = cluster.data / "pg_hba.conf"
    text = rules.read_text()
    lines = text.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("host @")) + 1
    lines.insert(place, f'host all "{OWNER}" all password')
    rules.write_text("\n".join(lines) + "\n")
    cluster.reload()
    try:
        yield
    finally:
        rules.write_text(text)
        cluster.reload()


@asynccontextmanager
async def entering(stage: Stage) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Begin a connection of the owner up to where the server waits for the password."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.cluster.port)
    body = struct.pack("!I", 196608) + b"".join(
        part + b"\0" for part in (b"user", OWNER.encode(), b"database", b"shop", b"")
    )
    writer.write(struct.pack("!I", len(body) + 4) + body)
    assert await reader.readexactly(1) == b"R"
    await reader.readexactly(8)
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_a_connection_on_its_way_in(new_stage: NewStage, rights: Rights) -> None:
    """It was let in by the rules from before and has only its password to send: it ends, and gets no answer to it."""
    stage = await new_stage(strength="hba", rights=rights)
    stage.cluster.psql(f"ALTER ROLE \"{OWNER}\" PASSWORD 'secret'")
    with asking_for_passwords(stage.cluster):
        await asyncio.sleep(0.3)
        async with entering(stage) as (reader, writer):
            fence = stage.fence()
            await fence.close()
            await fence.end(SECONDS)
            await fence.prove()
            writer.write(b"p" + struct.pack("!I", 11) + b"secret\0")
            answer = await reader.read(1000)
            assert answer[:1] in (b"", b"E"), answer


async def test_what_a_proof_says(stage: Stage, strength: str) -> None:
    """Who could still pass by rank, and whether a connection was tried."""
    fence = stage.fence()
    with pytest.raises(FenceIncomplete):
        await fence.prove()
    await fence.close()
    proof = await fence.prove()
    assert (proof.strength, proof.is_probed) == (strength, True)
    assert "the probe role was refused" in proof.text
    assert (CHIEF in proof.able_to_pass) is (strength == "limit")


@pytest.mark.parametrize("strength", ["hba", "limit"])
async def test_a_proof_without_a_probe(new_stage: NewStage, strength: str) -> None:
    """Rules or rights are read; that nobody tried is said. A probe that can log in nowhere proves nothing either."""
    stage = await new_stage(strength=strength, rights=Rights.DOCUMENTED, probe_dsn=None)
    fence = stage.fence()
    await fence.close()
    proof = await fence.prove()
    assert not proof.is_probed
    assert "probe_dsn is not set" in proof.text
    stage = await new_stage(strength=strength, rights=Rights.DOCUMENTED)
    stage.cluster.psql("ALTER ROLE warmstandby_probe NOLOGIN")
    try:
        await stage.fence().close()
        proof = await stage.fence().prove()
    finally:
        stage.cluster.psql("ALTER ROLE warmstandby_probe LOGIN")
    assert not proof.is_probed
    assert "cannot log in" in proof.text


async def test_rules_that_let_others_in(new_stage: NewStage) -> None:
    """A line before ours makes the fence a weaker one, which takes the rights away as well."""
    stage = await new_stage(strength="hba", rights=Rights.DOCUMENTED)
    rules = stage.cluster.data / "pg_hba.conf"
    text = rules.read_text()
    rules.write_text(f'host all "{OWNER}" all trust\n{text}')
    stage.cluster.reload()
    try:
        fence = stage.fence()
        await fence.close()
        assert fence.strength == "limit"
        assert fence.problem == (
            f"line 1 of pg_hba.conf (host) lets {OWNER} in before the closed databases are rejected"
        )
        assert not stage.enters(OWNER)
        await fence.prove()
    finally:
        rules.write_text(text)
        stage.cluster.reload()
    await asyncio.sleep(0.2)
    assert await fence.is_closed()
    assert fence.strength == "hba"
    await fence.open()
    assert stage.enters(OWNER)


async def test_without_any_right(new_stage: NewStage) -> None:
    """A database of a role that we do not act for: closing does what it may, and the proof says that it is open."""
    stage = await new_stage(strength="limit", rights=Rights.DOCUMENTED)
    stage.cluster.psql("ALTER DATABASE shop OWNER TO postgres")
    fence = stage.fence()
    await fence.close()
    assert fence.problem is not None
    assert "our role may not close database shop" in fence.problem
    with pytest.raises(FenceIncomplete, match="database shop may be entered by everybody"):
        await fence.prove()
