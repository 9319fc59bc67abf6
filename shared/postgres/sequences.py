"""Positions of a database's sequences, as they are now: sequences know no snapshot. Read, and set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class SequenceRange:
    """How a sequence moves, and how far it may."""

    increment: int
    bound: int
    is_cyclic: bool


def farther(one: SequenceValue, other: SequenceValue, moves: SequenceRange) -> SequenceValue:
    """Return the position that comes later; of a cyclic sequence the first one given, as none of its does."""
    if moves.is_cyclic:
        return one
    sign = 1 if moves.increment > 0 else -1
    return max(one, other, key=lambda value: (sign * value.last_value, value.is_called))


def moved_on(value: SequenceValue, moves: SequenceRange, steps: int) -> SequenceValue:
    """Return the position so many steps on, never past half of what is left: the application goes on from there."""
    if moves.is_cyclic:
        return value
    left = abs(moves.bound - value.last_value) // abs(moves.increment)
    step = min(steps, left // 2) * moves.increment
    return value.model_copy(update={"last_value": value.last_value + step})


async def list_ranges(session: Session) -> dict[tuple[str, str], SequenceRange]:
    """Return how sequences move, by schema and name."""
    return {
        (row["schema_name"], row["name"]): SequenceRange(row["increment"], row["bound"], row["is_cyclic"])
        for row in await session.fetch(_QUERIES["list_ranges"])
    }


async def set_positions(session: Session, values: Sequence[SequenceValue]) -> None:
    """Bring sequences to positions."""
    if values:
        await session.execute(
            _QUERIES["set_sequences"],
            [value.schema_name for value in values],
            [value.name for value in values],
            [value.last_value for value in values],
            [value.is_called for value in values],
        )


async def move_sequences_on(session: Session, steps: int) -> int:
    """Move every sequence on, so that what it gave out elsewhere is not given out again; return how many moved."""
    ranges = await list_ranges(session)
    present = await list_sequences(session)
    wanted = [moved_on(value, ranges[value.schema_name, value.name], steps) for value in present]
    moved = [value for value, before in zip(wanted, present, strict=True) if value != before]
    await set_positions(session, moved)
    return len(moved)
