"""What a database has besides its content, brought to what the active node's has."""

from __future__ import annotations

from typing import Final

import asyncpg

from services.standby_controller.definitions.properties import find_property_changes
from shared.node.model import UnkeptTable
from shared.postgres.catalog import describe_database
from shared.postgres.sessions import Session, translated
from shared.replication.model import DatabaseProperties

_NOT_HERE: Final = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidParameterValueError,
)


async def bring_properties(session: Session, database: str, wanted: DatabaseProperties) -> tuple[UnkeptTable, ...]:
    """Bring comment, settings and rights; return what this server or our role does not allow, and why."""
    left: list[UnkeptTable] = []
    with translated(f"setting the properties of database {database}"):
        now = await describe_database(session)
        for change in find_property_changes(database, now, wanted):
            try:
                await session.execute(change.statement)
            except _NOT_HERE as error:
                left.append(UnkeptTable(name=f"database's {change.words}", reason=str(error)))
    if now.owner != wanted.owner:
        reason = f"{wanted.owner} there, {now.owner} here: a full copy brings it"
        left.append(UnkeptTable(name="database's owner", reason=reason))
    return tuple(left)
