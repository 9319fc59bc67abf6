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
 WHERE c.relkind = 'r' AND c.relpersistence = ANY ($1::"char"[])
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


async def hash_tables(session: Session, persistence: str = "p") -> Digests:
    """Count and hash the rows of every table, of these kinds of persistence, as this session's transaction sees it."""
    tables = [row[0] for row in await session.fetch(_TABLES, [kind.encode() for kind in persistence])]
    if not tables:
        return {}
    rows = await session.fetch(
        " UNION ALL ".join(
            f"SELECT '{table}' AS name, count(*) AS rows, coalesce(md5(string_agg(h, '' ORDER BY h)), '') AS digest"
            f" FROM (SELECT md5(t::text) AS h FROM ONLY {table} AS t) AS hashed"
            for table in tables
        )
    )
    return {row["name"]: (row["rows"], row["digest"]) for row in rows}


async def check_equal(source_dsn: str, target_dsn: str, persistence: str = "p") -> None:
    """Raise AssertionError, with the first rows that differ, unless both hold the same; nobody writes meanwhile.

    The independent comparison has the last word: it knows that the columns of a table that inherits some may come in
    another order once it is made again.
    """
    async with open_session(source_dsn) as source, open_session(target_dsn) as target:
        is_equal = await hash_tables(source, persistence) == await hash_tables(target, persistence)
    if not is_equal:
        await check_all_equal(source_dsn, target_dsn)


async def check_all_equal(source_dsn: str, target_dsn: str) -> None:
    """Do the same by the independent comparison, sequences included."""
    comparison = await compare_databases(source_dsn, target_dsn)
    assert comparison.equal, comparison.describe()
