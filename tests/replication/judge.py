"""Whether a copy equals its source, fast enough to be asked after each sync: all tables hashed by one query a side."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from sample.comparison import compare_databases
from shared.postgres.sessions import Session

Digests = dict[str, tuple[int, str]]

_PINNED: Final = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "search_path": "pg_catalog",
    "jit": "off",
    "lock_timeout": "20s",
}
_TABLES: Final = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence = 'p'
   AND n.nspname NOT IN ('warmstandby', 'information_schema') AND n.nspname !~ '^pg_'
 ORDER BY 1
"""


@asynccontextmanager
async def open_session(dsn: str) -> AsyncIterator[Session]:
    """Open a session whose texts do not depend on anybody's settings."""
    session = await asyncpg.connect(dsn, server_settings=_PINNED, statement_cache_size=0)
    try:
        yield session
    finally:
        await session.close(timeout=10)


async def hash_tables(session: Session) -> Digests:
    """Count and hash the rows of every table as this session's transaction sees them."""
    tables = [row[0] for row in await session.fetch(_TABLES)]
    rows = await session.fetch(
        " UNION ALL ".join(
            f"SELECT '{table}' AS name, count(*) AS rows, coalesce(md5(string_agg(h, '' ORDER BY h)), '') AS digest"
            f" FROM (SELECT md5(t::text) AS h FROM ONLY {table} AS t) AS hashed"
            for table in tables
        )
    )
    return {row["name"]: (row["rows"], row["digest"]) for row in rows}


async def check_equal(source_dsn: str, target_dsn: str) -> None:
    """Raise AssertionError, with the first rows that differ, unless both hold the same; nobody writes meanwhile."""
    async with open_session(source_dsn) as source, open_session(target_dsn) as target:
        is_equal = await hash_tables(source) == await hash_tables(target)
    if not is_equal:
        comparison = await compare_databases(source_dsn, target_dsn)
        raise AssertionError(comparison.describe())


async def check_all_equal(source_dsn: str, target_dsn: str) -> None:
    """Do the same by the independent comparison, sequences included."""
    comparison = await compare_databases(source_dsn, target_dsn)
    assert comparison.equal, comparison.describe()
