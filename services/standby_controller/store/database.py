"""The controller's way to its own database: a pool that outlives a server that is away. No query of any feature."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import asyncpg

from shared.errors import DatabaseUnreachable, PostgresError
from shared.postgres.migrations import migrate
from shared.postgres.sessions import open_pool, translated

MIGRATIONS: Final = "services.standby_controller.store.migrations"
SCHEMA: Final = "control"
_WHAT: Final = "using the control database"
FIRST_SECONDS: Final = 5.0
"""Who comes right after the start waits so long for the first answer of the server."""

Record = asyncpg.Record
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


class Database:
    """Queries on the control database; every failure is a PostgresError, and the next use tries again."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], dsn: str) -> None:
        """Keep the pool; `prepare` must succeed before anything else does."""
        self._pool = pool
        self._dsn = dsn
        self._is_prepared = False
        self._tried = asyncio.Event()
        self._is_answering = True
        self._problem: PostgresError | None = None

    @property
    def is_prepared(self) -> bool:
        """Say whether the schema is known to be this release's."""
        return self._is_prepared

    @property
    def is_answering(self) -> bool:
        """Say whether the last use of the database reached it; who has another way need not wait for it otherwise."""
        return self._is_answering

    def note_silence(self) -> None:
        """Take it that the server hangs; the next use that succeeds says otherwise."""
        self._is_answering = False

    async def prepare(self) -> None:
        """Bring the schema to this release's version; raises PostgresError, and may be repeated."""
        try:
            await migrate(self._dsn, package=MIGRATIONS, schema=SCHEMA)
        except PostgresError as error:
            self._problem = error
            raise
        else:
            self._is_prepared = True
        finally:
            self._tried.set()

    async def fetch(self, query: str, *values: Any) -> Sequence[Record]:
        """Return all rows."""
        async with self._connection() as connection:
            return await connection.fetch(query, *values)

    async def fetch_row(self, query: str, *values: Any) -> Record | None:
        """Return the first row."""
        async with self._connection() as connection:
            return await connection.fetchrow(query, *values)

    async def execute(self, query: str, *values: Any) -> int:
        """Carry out a statement and return how many rows it touched."""
        async with self._connection() as connection:
            tag = await connection.execute(query, *values)
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Open one transaction for a block."""
        async with self._connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield connection
            except Exception:
                await transaction.rollback()
                raise
            await transaction.commit()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """Give a connection for a block; one that is cancelled in its work is cut.

        Else the pool would ask the server to cancel, wait for it, and turn the cancellation into a timeout.
        """
        if not self._tried.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._tried.wait(), FIRST_SECONDS)
        if not self._is_prepared:
            if self._problem is not None:
                raise type(self._problem)(f"{_WHAT}: {self._problem.detail}", hint=self._problem.hint)
            raise DatabaseUnreachable(f"{_WHAT}: it was not reached yet")
        try:
            with translated(_WHAT):
                async with self._pool.acquire(timeout=10) as connection:
                    try:
                        yield connection
                    except asyncio.CancelledError:
                        connection.terminate()
                        raise
        except DatabaseUnreachable:
            self._is_answering = False
            raise
        self._is_answering = True


def storable(text: str) -> str:
    """Return the text as PostgreSQL can hold it: what other programs said may be anything."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def storable_json(value: Any) -> str:
    """Return a value as JSON that PostgreSQL can hold, and read again."""
    return json.dumps(_clean(value))


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_clean(item) for item in value]
    return value


@asynccontextmanager
async def open_database(dsn: str) -> AsyncIterator[Database]:
    """Open the control database for the time of a block; nothing is asked of the server yet."""
    async with open_pool(dsn, size=8) as pool:
        yield Database(pool, dsn)
