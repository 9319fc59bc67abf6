"""Positions of a database's sequences, as they are now: sequences know no snapshot. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from shared.postgres.queries import load_queries, qualified
from shared.postgres.sessions import Session
from shared.replication.model import SequenceValue

if TYPE_CHECKING:
    Prepared = asyncpg.prepared_stmt.PreparedStatement[asyncpg.Record]
else:
    Prepared = Any

_QUERIES: Final = load_queries("shared.postgres", "sequences.sql")
_TELLS_UNUSED: Final = 18  # the first major that tells the position of a sequence never used
_AT_A_TIME: Final = 500
_ATTEMPTS: Final = 3


class SequenceReader:
    """Reads sequences over one session after the other; for one that lasts, statements are planned once.

    The session is in no transaction: what a look locks is given back with it.
    """

    def __init__(self) -> None:
        """Know no session yet."""
        self._session: Session | None = None
        self._prepared: dict[str, Prepared] = {}

    async def read(self, session: Session) -> tuple[SequenceValue, ...]:
        """Return every sequence with its position."""
        if session is not self._session:
            self._session, self._prepared = session, {}
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._read(session)
            except (asyncpg.UndefinedTableError, asyncpg.UndefinedObjectError):  # dropped or renamed meanwhile
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _read(self, session: Session) -> tuple[SequenceValue, ...]:
        tells_unused = session.get_server_version() >= (_TELLS_UNUSED,)
        rows = await session.fetch(_QUERIES["list_sequences_with_data" if tells_unused else "list_sequences"])
        raw = await self._read_unused(session, [row for row in rows if row["last_value"] is None])
        return tuple(
            SequenceValue(
                schema_name=row["schema_name"],
                name=row["name"],
                last_value=row["last_value"] if row["last_value"] is not None else raw[row["oid"]][0],
                is_called=row["is_called"] if row["last_value"] is not None else raw[row["oid"]][1],
            )
            for row in rows
        )

    async def _read_unused(self, session: Session, rows: Sequence[asyncpg.Record]) -> dict[int, tuple[int, bool]]:
        """Return raw positions by oid; planning such a statement costs twenty times its run."""
        raw: dict[int, tuple[int, bool]] = {}
        prepared: dict[str, Prepared] = {}
        for start in range(0, len(rows), _AT_A_TIME):
            text = "\nUNION ALL\n".join(
                _QUERIES["read_unused_sequences"].format(
                    oid=row["oid"], sequence=qualified(row["schema_name"], row["name"])
                )
                for row in rows[start : start + _AT_A_TIME]
            )
            prepared[text] = self._prepared.get(text) or await session.prepare(text)
            for value in await prepared[text].fetch():
                raw[value["oid"]] = (value["last_value"], value["is_called"])
        self._prepared = prepared
        return raw


async def list_sequences(session: Session) -> tuple[SequenceValue, ...]:
    """Return every sequence with its position, for a session that is used once."""
    return await SequenceReader().read(session)
