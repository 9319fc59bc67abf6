"""The part of the node client by which a standby reads a file set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

from shared.files.wire import OpenListing, WantFiles
from shared.node.link import NodeLink


class FileSetLink(NodeLink):
    """What a standby asks of a file set; what is raised is said at NodeLink."""

    @asynccontextmanager
    async def listing(self, name: str, asked: OpenListing) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream what lies in a file set as lines; a stream that breaks raises TransferIncomplete."""
        async with self._stream(f"{_path(name)}/listing", asked) as chunks:
            yield chunks

    @asynccontextmanager
    async def contents(self, name: str, wanted: WantFiles) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream the contents of files; a stream that breaks raises TransferIncomplete."""
        async with self._stream(f"{_path(name)}/contents", wanted) as chunks:
            yield chunks


def _path(name: str) -> str:
    return f"/file-sets/{quote(name, safe='')}"
