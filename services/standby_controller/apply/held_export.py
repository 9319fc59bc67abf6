"""An export on the other node while it is read: kept open although nothing may flow for long, and closed at the end.

The source's server may search a large table for an hour before it finds the first changed row. That the other node
lives, and still holds the snapshot, is asked meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from shared.errors import PeerError, PeerRefusal
from shared.errors.groups import first_of
from shared.node.client import NodeClient
from shared.replication.model import Manifest

_ASK_SECONDS: Final = 20.0
_PATIENCE_SECONDS: Final = 120.0


class HeldExport:
    """An open export; `hold` makes it."""

    def __init__(self, client: NodeClient, manifest: Manifest, keeper: asyncio.Task[None]) -> None:
        """Take over an export that is open."""
        self.manifest = manifest
        self._client = client
        self._keeper = keeper

    async def close(self) -> None:
        """Give the snapshot back, as soon as all has arrived; what the other node does from now on matters no more."""
        self._keeper.cancel()
        await self._client.close_export(self.manifest.export_id)


@asynccontextmanager
async def hold(
    client: NodeClient,
    manifest: Manifest,
    *,
    ask_seconds: float = _ASK_SECONDS,
    patience_seconds: float = _PATIENCE_SECONDS,
) -> AsyncIterator[HeldExport]:
    """Keep an export open for the time of a block; one that cannot be closed expires by itself.

    Ends the block with PeerError when the other node has not answered for `patience_seconds`.
    """
    try:
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(_keep(client, manifest.export_id, ask_seconds, patience_seconds))
            try:
                yield HeldExport(client, manifest, keeper)
            finally:
                keeper.cancel()
                with contextlib.suppress(PeerError):
                    await client.close_export(manifest.export_id)
    except ExceptionGroup as errors:
        raise first_of(errors) from None


async def _keep(client: NodeClient, export_id: str, ask_seconds: float, patience_seconds: float) -> None:
    """Ask for the export again and again; once it is gone, whoever reads it is told so."""
    loop = asyncio.get_running_loop()
    heard_at = loop.time()
    while True:
        await asyncio.sleep(ask_seconds)
        try:
            await client.export(export_id)
        except PeerRefusal:
            return
        except PeerError:
            if loop.time() - heard_at > patience_seconds:
                raise
        else:
            heard_at = loop.time()
