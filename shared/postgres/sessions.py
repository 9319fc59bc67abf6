"""Sessions of ours with PostgreSQL: pinned settings, and errors translated into our tree. No SQL of any feature.

The text of a key must not depend on settings of a database or a role (a `DateStyle` there would make one row two), so
every session pins what output and input depend on. Commits of ours are on disk when they return and wait for nobody
else's standby: capture goes on while the application waits for one. A long statement of a service that was killed ends
within seconds.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from shared.errors import (
    DatabaseMissing,
    DatabaseUnreachable,
    LoginRefused,
    PostgresError,
    RightsMissing,
    TableLocked,
    WarmstandbyError,
)
from shared.errors.groups import first_of

if TYPE_CHECKING:
    Session = asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Session, Pool = asyncpg.Connection, asyncpg.Pool

PINNED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "application_name": "warmstandby",
        "DateStyle": "ISO, YMD",
        "IntervalStyle": "postgres",
        "TimeZone": "UTC",
        "extra_float_digits": "3",
        "bytea_output": "hex",
        "lc_monetary": "C",
        "xmloption": "content",
        "search_path": "pg_catalog",
        "row_security": "off",
        "standard_conforming_strings": "on",
        "array_nulls": "on",
        "default_transaction_isolation": "read committed",
        "default_transaction_read_only": "off",
        "default_transaction_deferrable": "off",
        "synchronous_commit": "local",
        "statement_timeout": "0",
        "lock_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "idle_session_timeout": "0",
        "client_connection_check_interval": "5s",
        "client_min_messages": "warning",
        "jit": "off",
    }
)

_UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what the driver says when the server ends a session under a statement
)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise errors of PostgreSQL as errors of our tree; `what` says what was being done."""
    try:
        yield
    except WarmstandbyError:
        raise
    except asyncpg.InvalidCatalogNameError as error:
        raise DatabaseMissing(f"{what}: {error}") from error
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise LoginRefused(f"{what}: {error}") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise RightsMissing(f"{what}: {error}") from error
    except asyncpg.LockNotAvailableError as error:
        raise TableLocked(f"{what}: {error}") from error
    except _UNREACHABLE as error:
        first = _first_sign(error)
        raise DatabaseUnreachable(f"{what}: {str(first) or type(first).__name__}") from error
    except asyncpg.PostgresError as error:
        raise PostgresError(f"{what}: {error}") from error


def _first_sign(error: BaseException) -> BaseException:
    """Return the error that told of the loss: what a lost session is asked afterwards fails too, and hides it."""
    seen: set[int] = set()  # an error that was taken out of a group has that group as its context: the chain is a ring
    while isinstance(error, asyncpg.InterfaceError) and error.__context__ is not None and id(error) not in seen:
        seen.add(id(error))
        before = error.__context__
        error = first_of(before) if isinstance(before, BaseExceptionGroup) else before
    return error


async def connect(
    dsn: str, *, database: str | None = None, lock_timeout_seconds: float = 0, connect_timeout_seconds: float = 10
) -> Session:
    """Open a session with pinned settings; the caller closes it.

    Raises DatabaseUnreachable, DatabaseMissing, LoginRefused.
    """
    settings: dict[str, Any] = {**PINNED, "lock_timeout": str(int(lock_timeout_seconds * 1000))}
    with translated(f"connecting to {database or 'the database'}"):
        connection = await asyncpg.connect(
            dsn,
            database=database,
            timeout=connect_timeout_seconds,
            statement_cache_size=0,
            server_settings=settings,
        )
        if connection.get_server_version() >= (17,):
            try:
                await connection.execute("SET transaction_timeout = 0")
            except BaseException:
                connection.terminate()
                raise
        return connection


@asynccontextmanager
async def open_session(
    dsn: str, *, database: str | None = None, lock_timeout_seconds: float = 0, connect_timeout_seconds: float = 10
) -> AsyncIterator[Session]:
    """Open a session with pinned settings for the time of a block; cancelling the block ends it at once."""
    connection = await connect(
        dsn,
        database=database,
        lock_timeout_seconds=lock_timeout_seconds,
        connect_timeout_seconds=connect_timeout_seconds,
    )
    try:
        yield connection
    finally:
        await close(connection)


def forget_lost_sessions(record: logging.LogRecord) -> bool:
    """Drop what the driver says twice of a session that was ended: whoever used it was told by its own error.

    A request to cancel that was given up is one such line. The other: a COPY that is begun while the server's last word
    is read makes a future that nobody awaits, and the closing of the session fails it.
    """
    error = record.exc_info[1] if record.exc_info else None
    is_unawaited = isinstance(error, asyncpg.ConnectionDoesNotExistError) and "never retrieved" in record.getMessage()
    return not is_unawaited and "unexpected connection_lost() call" not in record.getMessage()


async def close(connection: Session) -> None:
    """Close a session, politely where it is idle, by force where it is busy or does not answer."""
    try:
        if connection.is_closed():
            return
        await connection.close(timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        connection.terminate()
    except BaseException:
        connection.terminate()
        raise


@asynccontextmanager
async def open_pool(dsn: str, *, database: str | None = None, size: int = 5) -> AsyncIterator[Pool]:
    """Open a pool of pinned sessions that connects on first use, so that it outlives a server that is away."""
    pool = asyncpg.create_pool(
        dsn, database=database, min_size=0, max_size=size, server_settings=dict(PINNED), timeout=10, command_timeout=60
    )
    async with pool:
        yield pool
