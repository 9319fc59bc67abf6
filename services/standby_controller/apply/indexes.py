"""Secondary indexes while most of a table's rows change: laid aside, and built anew from the finished table.

One entry after the other costs several times what building the whole index does. Only what a definition says completely
is laid aside: no constraint, no expression, no setting of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session

_QUERIES: Final = load_queries("services.standby_controller.apply", "indexes.sql")


@dataclass(frozen=True, slots=True)
class PlainIndex:
    """An index that its definition says completely."""

    sql_name: str
    definition: str


async def list_plain_indexes(session: Session, tables: Sequence[int]) -> dict[int, tuple[PlainIndex, ...]]:
    """Return the indexes of tables that may be laid aside, by table oid."""
    found: dict[int, list[PlainIndex]] = {}
    for row in await session.fetch(_QUERIES["list_plain_indexes"], list(tables)):
        found.setdefault(row["table_oid"], []).append(PlainIndex(row["sql_name"], row["definition"]))
    return {oid: tuple(indexes) for oid, indexes in found.items()}


async def lay_aside(session: Session, sql_name: str, indexes: Sequence[PlainIndex]) -> tuple[PlainIndex, ...]:
    """Drop indexes of a table within the session's transaction and return what has to be built again.

    All stay, and nothing is returned, where somebody reads the table now (nobody is waited for) or the rights do not
    suffice. Who comes to read the table later waits for the end of the transaction.
    """
    if not indexes:
        return ()
    with contextlib.suppress(asyncpg.LockNotAvailableError, asyncpg.InsufficientPrivilegeError):
        async with session.transaction():
            await session.execute(_QUERIES["lock_table"].format(table=sql_name))
            for index in indexes:
                await session.execute(_QUERIES["drop_index"].format(index=index.sql_name))
        return tuple(indexes)
    return ()


async def build_again(session: Session, indexes: Sequence[PlainIndex]) -> None:
    """Build what was laid aside, where it was."""
    if indexes:
        await session.execute(_QUERIES["use_default_tablespace"])
    for index in indexes:
        await session.execute(index.definition)
