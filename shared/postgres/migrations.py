"""Numbered forward migrations of one schema in a node's own database. No schema of any feature lives here.

A package holds `NNNN_name.sql` files, numbered from 1 without gaps. Each runs in a transaction of its own together with
its row in `<schema>.migrations`, under an advisory lock, so that two services may start at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import asyncpg

from shared.errors import SchemaTooNew
from shared.postgres.queries import load_queries, quote_identifier
from shared.postgres.sessions import open_session, translated

_FILE: Final = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")
_QUERIES = load_queries("shared.postgres", "migrations.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step forward."""

    version: int
    name: str
    script: str


def load_migrations(package: str) -> tuple[Migration, ...]:
    """Return the migrations of a package in order; raise ValueError for a gap, a number twice or a strange name."""
    found: list[Migration] = []
    for entry in files(package).iterdir():
        if not entry.name.endswith(".sql"):
            continue
        match = _FILE.match(entry.name)
        if match is None:
            raise ValueError(f"{package}/{entry.name}: a migration is named NNNN_name.sql")
        found.append(Migration(int(match[1]), match[2], entry.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"{package}: migrations are numbered from 0001 without gaps")
    return tuple(found)


async def migrate(dsn: str, *, package: str, schema: str) -> int:
    """Bring the schema to the newest version this code knows and return it; idempotent, safe at the same time twice.

    Raises SchemaTooNew when the database was written by a newer release, and PostgresError.
    """
    migrations = load_migrations(package)
    async with open_session(dsn) as connection:
        with translated(f"migrating schema {schema}"):
            while await _step(connection, migrations, schema):
                pass
    return len(migrations)


async def _step(connection: asyncpg.Connection[asyncpg.Record], migrations: tuple[Migration, ...], schema: str) -> bool:
    """Apply the next migration, if there is one, and say whether there may be more."""
    table = f"{quote_identifier(schema)}.migrations"
    async with connection.transaction():
        await connection.execute(_QUERIES["lock_schema"], schema)
        version = 0
        if await connection.fetchval(_QUERIES["find_table"], table):
            version = await connection.fetchval(_QUERIES["read_version"].replace("{table}", table))
        if version > len(migrations):
            raise SchemaTooNew(
                f"schema {schema} is at version {version}, this release knows versions up to {len(migrations)}"
            )
        if version == len(migrations):
            return False
        if version == 0:
            if not await connection.fetchval(_QUERIES["find_schema"], schema):
                await connection.execute(f"CREATE SCHEMA {quote_identifier(schema)}")
            await connection.execute(_QUERIES["create_table"].replace("{table}", table))
        migration = migrations[version]
        await connection.execute(migration.script)
        await connection.execute(
            _QUERIES["note_migration"].replace("{table}", table), migration.version, migration.name
        )
    return True
