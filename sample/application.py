"""The sample application's database: installing it at a chosen size and measuring it; no workload, no replication."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

import asyncpg

HERE: Final = Path(__file__).parent

COUNT_ROWS: Final = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname IN ('identity', 'fleet', 'policy', 'telemetry', 'billing')
"""


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """How large the sample database is; partitions count, their parents do not."""

    tables: int
    rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Installation:
    """What an installation made, and how long it took."""

    size: DatabaseSize
    seconds: float


async def install(dsn: str, *, rows: int = 500_000, seed: int = 1) -> Installation:
    """Create the schema and about `rows` rows in an empty database; the same seed makes the same rows."""
    started = time.monotonic()
    settings = {
        "timezone": "UTC",
        "sample.rows": str(rows),
        "sample.seed": f"{random.Random(seed).uniform(-1, 1):.9f}",
    }
    connection = await asyncpg.connect(dsn, server_settings=settings)
    try:
        async with connection.transaction():
            await connection.execute((HERE / "schema.sql").read_text(encoding="utf-8"))
            await connection.execute((HERE / "generate.sql").read_text(encoding="utf-8"))
        await connection.execute("ANALYZE")
    finally:
        await connection.close()
    return Installation(size=await measure_size(dsn), seconds=time.monotonic() - started)


async def measure_size(dsn: str) -> DatabaseSize:
    """Count tables, rows (exactly, by reading them) and bytes on disk."""
    connection = await asyncpg.connect(dsn)
    try:
        names = [f'"{schema}"."{table}"' for schema, table in await connection.fetch(COUNT_ROWS)]
        counts = " UNION ALL ".join(f"SELECT count(*) AS counted FROM {name}" for name in names)
        rows = await connection.fetchval(f"SELECT coalesce(sum(counted), 0)::bigint FROM ({counts}) t") if names else 0
        size_bytes = await connection.fetchval("SELECT pg_database_size(current_database())")
    finally:
        await connection.close()
    return DatabaseSize(tables=len(names), rows=rows, size_bytes=size_bytes)


async def read_credit_total(dsn: str) -> Decimal:
    """Sum the accounts' balances and the amounts on their way; no transaction of the application changes it."""
    connection = await asyncpg.connect(dsn)
    try:
        total: Decimal = await connection.fetchval("SELECT total FROM billing.credit_total")
    finally:
        await connection.close()
    return total
