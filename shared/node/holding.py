"""The part of the node client by which a copy is compared with an open export."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

from shared.node.link import NodeLink
from shared.replication.verification import Holding

_LIST_SECONDS: Final = 60.0


class HoldingLink(NodeLink):
    """What a standby asks of all tables at an export's snapshot; what is raised is said at NodeLink."""

    async def holding(self, export_id: str) -> Holding:
        """Read which tables stand at the snapshot."""
        response = await self._ask("GET", _path(export_id), deadline_seconds=_LIST_SECONDS)
        return self._parse(response, Holding.model_validate_json)

    @asynccontextmanager
    async def digests(
        self, export_id: str, number: int, *, bits: int, has_hashes: bool
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream digests of a table's parts as binary COPY: part, number of rows, sum of their hashes."""
        query = f"bits={bits}&hashes={str(has_hashes).lower()}"
        async with self._stream(f"{_path(export_id)}/{number}/digests?{query}") as chunks:
            yield chunks

    @asynccontextmanager
    async def hashes(
        self, export_id: str, number: int, *, bits: int, parts: Sequence[int]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream key and hash of the rows of some parts as binary COPY; of all where none is named."""
        query = "&".join([f"bits={bits}", *(f"part={part}" for part in parts)])
        async with self._stream(f"{_path(export_id)}/{number}/hashes?{query}") as chunks:
            yield chunks


def _path(export_id: str) -> str:
    return f"/exports/{quote(export_id, safe='')}/holding"
