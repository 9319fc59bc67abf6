"""The part of the node client that brings a node back: shared moments, what it has alone, the keys it brings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

from shared.node.link import SILENCE_SECONDS, NodeLink
from shared.replication.model import SyncPoint, TableName
from shared.replication.returning import BaseFound, Divergence, FindBase, KeysStored, SharedPoints

_DRAIN_SECONDS: Final = 120.0


class ReturningLink(NodeLink):
    """What a node that comes back asks its own agent and the active node's; what is raised is said at NodeLink."""

    async def shared_points(self, component: str) -> SharedPoints:
        """Ask the own agent for the moments that this node can tell its changes since."""
        response = await self._ask("GET", f"{_component_path(component)}/points", deadline_seconds=_DRAIN_SECONDS)
        return self._parse(response, SharedPoints.model_validate_json)

    async def divergence(self, component: str, point: SyncPoint) -> Divergence:
        """Ask the own agent what this node has alone since one of its own points: a drain of all that is left."""
        params = {"capture_id": point.capture_id, "seq": str(point.seq), "nonce": point.nonce}
        path = f"{_component_path(component)}/divergence"
        response = await self._ask("GET", path, params=params, deadline_seconds=SILENCE_SECONDS)
        return self._parse(response, Divergence.model_validate_json)

    @asynccontextmanager
    async def divergent_keys(
        self, component: str, number: int, *, with_birth: bool = False
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream the keys of a table that only this node had changed; the last `divergence` gave its number."""
        query = "?with_birth=true" if with_birth else ""
        async with self._stream(f"{_component_path(component)}/divergence/{number}/keys{query}") as chunks:
            yield chunks

    async def find_base(self, component: str, asked: FindBase) -> BaseFound:
        """Ask for the newest moment that both nodes know."""
        path = f"{_component_path(component)}/bases"
        response = await self._ask("POST", path, body=asked.model_dump_json(), deadline_seconds=_DRAIN_SECONDS)
        return self._parse(response, BaseFound.model_validate_json)

    async def put_divergent_keys(
        self, component: str, table: TableName, key: Iterable[tuple[str, str]], chunks: AsyncIterator[bytes]
    ) -> KeysStored:
        """Have the active node take keys, as a stream of binary COPY, as if it had just changed them; repeatable."""
        schema, name = quote(table.schema_name, safe=""), quote(table.name, safe="")
        path = f"{_component_path(component)}/divergent-keys/{schema}/{name}"
        pairs = list(key)
        params = {"column": [column for column, _ in pairs], "type": [type_name for _, type_name in pairs]}
        return self._parse(await self._send(path, params, chunks), KeysStored.model_validate_json)


def _component_path(component: str) -> str:
    return f"/components/{quote(component, safe='')}"
