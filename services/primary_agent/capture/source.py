"""The application's database as capture sees it: publication, slot, barrier. Decides nothing about when to drain."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import asyncpg

from shared.errors import RightsMissing, VersionUnsupported, WalLevelInsufficient
from shared.postgres.queries import load_queries, qualified, quote_identifier
from shared.postgres.sessions import Session, open_session, translated

PUBLICATION: Final = "warmstandby"
MINIMUM_VERSION: Final = 150000
_QUERIES: Final = load_queries("services.primary_agent.capture", "source.sql")
_GUARD: Final = load_queries("services.primary_agent.capture", "guard.sql")
_TABLES_AT_A_TIME: Final = 200
_LONGEST_IN_SLOT: Final = 51


class NamedTable(Protocol):
    """A table as far as the publication needs to know it."""

    @property
    def oid(self) -> int:
        """Which one."""

    @property
    def schema_name(self) -> str:
        """Where it is."""

    @property
    def name(self) -> str:
        """What it is called."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why a table is not in the publication; one that does not last is tried again soon."""

    reason: str
    is_lasting: bool = False


_NOT_OWNED: Final = LeftOut(
    "our role is not a member of the table's owner, so its changes cannot be captured", is_lasting=True
)
_HELD: Final = LeftOut("a statement of the application holds it, so it could not be taken into the capture yet")
_BUSY: Final = LeftOut("a migration holds the publication, so it could not be taken into the capture yet")
_CHANGED: Final = LeftOut("it was changed at the same moment")


@dataclass(frozen=True, slots=True)
class Slot:
    """The slot as the server knows it."""

    plugin: str
    database: str
    wal_status: str | None
    confirmed_lsn: str | None
    restart_lsn: str | None
    active: bool
    active_pid: int | None
    kept_bytes: int | None


@dataclass(frozen=True, slots=True)
class Server:
    """What capture needs to know of the server and of our role."""

    version: int
    version_text: str
    wal_level: str
    role: str
    is_superuser: bool
    may_replicate: bool
    may_create: bool
    database_oid: int
    is_in_recovery: bool


def name_slot(component: str) -> str:
    """Return the slot's name: lower case, as PostgreSQL wants it, and unlike any other component's."""
    plain = component.lower().replace("-", "_")
    if plain == component and len(plain) <= _LONGEST_IN_SLOT:
        return f"warmstandby_{plain}"
    return f"warmstandby_{plain[: _LONGEST_IN_SLOT - 9]}_{hashlib.sha256(component.encode()).hexdigest()[:8]}"


class Source:
    """One component's database on the active node."""

    def __init__(self, dsn: str, component: str, database: str, lock_timeout_seconds: float) -> None:
        """Connects on use."""
        self._dsn = dsn
        self._lock_timeout_seconds = lock_timeout_seconds
        self.database = database
        self.slot_name = name_slot(component)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Open a session with the application's database; locks are waited for briefly only."""
        async with open_session(
            self._dsn, database=self.database, lock_timeout_seconds=self._lock_timeout_seconds
        ) as session:
            with translated(f"using database {self.database}"):
                yield session

    async def check_server(self, session: Session) -> Server:
        """Raise VersionUnsupported, WalLevelInsufficient or RightsMissing where capture cannot work."""
        row = await session.fetchrow(_QUERIES["check_server"])
        assert row is not None
        server = Server(**row)
        if server.version < MINIMUM_VERSION:
            raise VersionUnsupported(f"the server of database {self.database} is PostgreSQL {server.version_text}")
        if server.wal_level != "logical":
            raise WalLevelInsufficient(f"wal_level is {server.wal_level} on the server of database {self.database}")
        if not server.may_replicate:
            raise RightsMissing(
                f"role {server.role} may not make a replication slot",
                hint=f"Run `ALTER ROLE {quote_identifier(server.role)} REPLICATION;` as a superuser.",
            )
        if not server.may_create:
            role, database = quote_identifier(server.role), quote_identifier(self.database)
            raise RightsMissing(
                f"role {server.role} may not create a schema and a publication in database {self.database}",
                hint=f"Run `GRANT CREATE ON DATABASE {database} TO {role};` as its owner.",
            )
        return server

    # Publication -----------------------------------------------------------------------------------------------------

    async def ensure_publication(self, session: Session) -> bool:
        """Make the empty publication, or make it again where somebody changed it; True when it was made now."""
        if await self.identify_publication(session) is not None:
            return False
        async with session.transaction():
            await session.execute(f"DROP PUBLICATION IF EXISTS {quote_identifier(PUBLICATION)}")
            await session.execute(
                f"CREATE PUBLICATION {quote_identifier(PUBLICATION)} "
                "WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = false)"
            )
        return True

    async def identify_publication(self, session: Session) -> str | None:
        """Return a token that changes when the publication is altered or made again; None where it is not ours."""
        token: str | None = await session.fetchval(_QUERIES["identify_publication"], PUBLICATION)
        return token

    async def publish(self, session: Session, tables: Sequence[NamedTable]) -> dict[int, LeftOut]:
        """Add whole tables; return, by oid, why a table could not be added."""
        refused: dict[int, LeftOut] = {}
        for start in range(0, len(tables), _TABLES_AT_A_TIME):
            group = tables[start : start + _TABLES_AT_A_TIME]
            if await self._alter(session, "ADD", group) is not None:
                for table in group:
                    left_out = await self._alter(session, "ADD", [table])
                    if left_out is not None:
                        refused[table.oid] = left_out
        return refused

    async def unpublish(self, session: Session, tables: Iterable[NamedTable]) -> None:
        """Take tables out whose changes can no longer be told by a key; a locked table stays until the next look."""
        for table in tables:
            await self._alter(session, "DROP", [table])

    async def _alter(self, session: Session, verb: str, tables: Sequence[NamedTable]) -> LeftOut | None:
        """Change the publication; several tables are held together, so for them no lock is waited for."""
        names = ", ".join("ONLY " + qualified(table.schema_name, table.name) for table in tables)
        try:
            async with session.transaction():
                if not await session.fetchval(_GUARD["try_gate"]):
                    return _BUSY
                if len(tables) > 1:
                    await session.execute("SET LOCAL lock_timeout = '50ms'")
                await session.execute(f"ALTER PUBLICATION {quote_identifier(PUBLICATION)} {verb} TABLE {names}")
        except asyncpg.InsufficientPrivilegeError:
            return _NOT_OWNED
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            return _HELD
        except (asyncpg.UndefinedTableError, asyncpg.DuplicateObjectError, asyncpg.UndefinedObjectError):
            return _CHANGED
        return None

    # Slot ------------------------------------------------------------------------------------------------------------

    async def find_slot(self, session: Session) -> Slot | None:
        """Return the slot as the server knows it."""
        row = await session.fetchrow(_QUERIES["find_slot"], self.slot_name)
        return None if row is None else Slot(**row)

    async def create_slot(self) -> str:
        """Make the slot on a session of its own and return where it starts.

        Waits for every transaction open in the whole cluster; cancelling it leaves no slot.
        """
        async with self.session() as session:
            await session.execute("SET client_connection_check_interval = '5s'")
            await session.execute("SET lock_timeout = 0")
            lsn: str = await session.fetchval(_QUERIES["create_slot"], self.slot_name)
            return lsn

    async def drop_slot(self, session: Session) -> None:
        """Drop the slot if it is there, ending a session that an agent left behind on it."""
        for _ in range(20):
            try:
                await session.execute(_QUERIES["drop_slot"].replace("$1", f"'{self.slot_name}'"))
                return
            except asyncpg.ObjectInUseError:
                await self.end_slot_user(session)
                await asyncio.sleep(0.1)
        await session.execute(_QUERIES["drop_slot"].replace("$1", f"'{self.slot_name}'"))

    async def end_slot_user(self, session: Session) -> None:
        """End the session that holds the slot; only for the holder of the component's lock."""
        await session.execute(_QUERIES["end_slot_user"].replace("$1", f"'{self.slot_name}'"))

    async def advance(self, session: Session, lsn: str) -> None:
        """Let the server forget what lies before this position; a step back is no step. Idempotent."""
        await session.fetchval(_QUERIES["advance_slot"], self.slot_name, lsn)

    # Positions and transactions --------------------------------------------------------------------------------------

    async def assign_xid(self, session: Session) -> int:
        """Assign a transaction id; a snapshot whose xmin is past it has seen the end of everything older."""
        return int(await session.fetchval(_QUERIES["current_xid"]))

    async def list_blockers(self, session: Session, xid: int) -> list[str]:
        """Name the transactions up to this id that are still open, for people."""
        rows = await session.fetch(_QUERIES["list_blockers"], str(xid & 0xFFFFFFFF))
        return [row["blocker"] for row in rows]

    async def take_barrier(self, session: Session) -> str:
        """Flush the log and return its position: all that was visible before is decodable up to there."""
        async with session.transaction():
            await session.execute("SET LOCAL synchronous_commit = local")
            await session.execute(_QUERIES["take_barrier"])
        return await self.read_flush_lsn(session)

    async def may_log_snapshot(self, session: Session) -> bool:
        """Say whether `log_snapshot` works here."""
        return bool(await session.fetchval(_QUERIES["may_log_snapshot"]))

    async def log_snapshot(self, session: Session) -> None:
        """Let the slot's start move up; the server does so by itself only every 15 seconds or at a checkpoint."""
        await session.execute(_QUERIES["log_snapshot"])

    async def read_oldest_xid(self, session: Session) -> str:
        """Return the oldest transaction that is still open, or the next one."""
        oldest: str = await session.fetchval(_QUERIES["read_oldest_xid"])
        return oldest

    async def read_flush_lsn(self, session: Session) -> str:
        """Return how far the log is on disk."""
        lsn: str = await session.fetchval(_QUERIES["read_flush_lsn"])
        return lsn
