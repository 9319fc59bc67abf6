"""Compares the tables of a copy with those at an export's snapshot, where the copy stands too. Changes nothing.

Both sides reduce each table to digests of parts; only of parts that differ are keys and hashes of rows brought here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import asyncpg

from services.standby_controller.verify.model import Difference, DifferenceKind
from shared.errors import GuardClosed
from shared.errors.groups import first_of
from shared.node.client import NodeClient
from shared.postgres.copy import copy_in, pipe_copy
from shared.postgres.digest import write_hashes, write_parts
from shared.postgres.keys import write_key_selection
from shared.postgres.queries import load_queries, qualified
from shared.postgres.sessions import Session
from shared.replication.model import Column, Manifest
from shared.replication.verification import MOST_CHOSEN, HeldTable

_QUERIES: Final = load_queries("services.standby_controller.verify", "comparing.sql")
_NO_ENCODING: Final = "SQL_ASCII"
_UNFOLLOWED: Final = "deltas do not keep it current"

TakeKeys = Callable[[AsyncIterator[bytes]], Awaitable[object]]
MayGive = Callable[[Difference], TakeKeys | None]


class Comparer:
    """Compares table after table of one export over a session of the copy's database."""

    def __init__(self, session: Session, client: NodeClient, manifest: Manifest) -> None:
        """Nothing is asked yet."""
        self._session = session
        self._client = client
        self._manifest = manifest
        self.rows = 0
        """Rows of the source in the tables compared so far."""
        self.has_given = False
        """The keys of the last comparison were given away."""

    async def prepare(self) -> None:
        """Make room for what arrives."""
        await self._session.execute(_QUERIES["make_landing"])

    async def compare(
        self, table: HeldTable, *, has_hashes: bool, may_give: MayGive | None = None
    ) -> Difference | None:
        """Return how a table differs; None where it does not.

        To what `may_give` returns the keys that differ are given, as binary COPY of one bytea column.
        Raises GuardClosed when the copy was opened for others meanwhile; a source's table that is not the snapshot's
        any more is a PeerRefusal.
        """
        self.has_given = False
        try:
            async with self._at_one_moment():
                here, there, parts = await self._compare_parts(table, has_hashes=has_hashes)
                if not parts:
                    difference = None
                elif has_hashes and table.key:
                    difference = replace(await self._compare_rows(table, parts), rows_here=here, rows_there=there)
                    take_keys = None if may_give is None else may_give(difference)
                    if take_keys is not None:
                        await self._give_keys(take_keys)
                else:
                    difference = _differs(table, f"{here} rows here, {there} there")
                    difference = replace(difference, rows_here=here, rows_there=there)
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError) as error:
            return Difference(DifferenceKind.DEFINITION, _name(table), f"the standby's definition differs: {error}")
        self.rows += there
        return difference

    @asynccontextmanager
    async def _at_one_moment(self) -> AsyncIterator[None]:
        """Look at the copy in one snapshot; what is found counts only if nobody else could write meanwhile."""
        await self._session.execute(_QUERIES["begin"])
        try:
            yield
        except Exception:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await self._session.execute("ROLLBACK")
            raise
        await self._session.execute("ROLLBACK")
        if not await self._session.fetchval(_QUERIES["read_guards"]):
            raise GuardClosed("the copy was opened while it was compared")

    async def _compare_parts(self, table: HeldTable, *, has_hashes: bool) -> tuple[int, int, Sequence[int]]:
        """Compute digests on both sides at once and return the rows of both, and the parts that differ."""
        bits = table.bits
        query = write_parts(_rows(table), table.columns, _key(table), bits=bits, has_hashes=has_hashes)
        try:
            async with asyncio.TaskGroup() as group:
                there = group.create_task(self._fetch_parts(table, bits, has_hashes=has_hashes))
                group.create_task(self._session.execute(_QUERIES["take_parts"].format(query=query)))
        except ExceptionGroup as errors:
            raise first_of(errors) from None
        await copy_in(self._session, "parts_there", _one(there.result()), schema="pg_temp", form="binary")
        row = await self._session.fetchrow(_QUERIES["sum_parts"])
        assert row is not None
        return row["here"], row["there"], row["parts"]

    async def _fetch_parts(self, table: HeldTable, bits: int, *, has_hashes: bool) -> bytes:
        """Return the source's digests: of as many parts as there may be, small in any case."""
        held = self._client.digests(self._manifest.export_id, table.number, bits=bits, has_hashes=has_hashes)
        async with held as chunks:
            return b"".join([chunk async for chunk in chunks])

    async def _compare_rows(self, table: HeldTable, parts: Sequence[int]) -> Difference:
        chosen = parts if len(parts) <= MOST_CHOSEN else ()
        held = self._client.hashes(self._manifest.export_id, table.number, bits=table.bits, parts=chosen)
        async with held as chunks:
            await copy_in(self._session, "hashes_there", chunks, schema="pg_temp", form="binary")
        query = write_hashes(_rows(table), table.columns, _key(table), bits=table.bits, parts=chosen)
        await self._session.execute(_QUERIES["find_differing"].format(query=query))
        counts = await self._session.fetchrow(_QUERIES["count_differing"])
        assert counts is not None
        first, last = await self._read_edge(table, "ASC"), await self._read_edge(table, "DESC")
        told = [f"{counts[what]} {what}" for what in ("missing", "extra", "changed") if counts[what]]
        text = f"{', '.join(told)}; keys {first} to {last}"
        return replace(_differs(table, text), **dict(counts), first_key=first, last_key=last)

    async def _read_edge(self, table: HeldTable, direction: str) -> str:
        keys = [f"k{place}" for place in range(1, len(table.key) + 1)]
        types = [column.type for column in _key(table)]
        text = _QUERIES["write_only_key" if len(keys) == 1 else "write_keys"].format(keys=", ".join(keys))
        if self._manifest.encoding == _NO_ENCODING:
            text = _QUERIES["write_bytes_key"].format(text=text)
        value: str = await self._session.fetchval(
            _QUERIES["read_edge"].format(
                text=text,
                selection=write_key_selection("pg_temp.differing", types, self._manifest.encoding),
                order=", ".join(f"{key} {direction}" for key in keys),
            )
        )
        return value

    async def _give_keys(self, take_keys: TakeKeys) -> None:
        await pipe_copy(
            lambda sink: self._session.copy_from_query(_QUERIES["copy_differing"], output=sink, format="binary"),
            take_keys,
        )
        self.has_given = True


def _differs(table: HeldTable, text: str) -> Difference:
    told = text if table.is_kept else f"{text}; {_UNFOLLOWED}"
    return Difference(DifferenceKind.ROWS, _name(table), told, is_expected=not table.is_kept)


def _key(table: HeldTable) -> tuple[Column, ...]:
    return tuple(column for column in table.columns if column.name in table.key)


def _rows(table: HeldTable) -> str:
    return f"ONLY {qualified(table.schema_name, table.name)} AS t"


def _name(table: HeldTable) -> str:
    return f"{table.schema_name}.{table.name}"


async def _one(chunk: bytes) -> AsyncIterator[bytes]:
    yield chunk
