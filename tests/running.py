"""A server of ours that runs beside a test, in the same event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.http.server import HttpServer


@asynccontextmanager
async def running(server: HttpServer) -> AsyncIterator[HttpServer]:
    """Run the server for the time of a block; the socket takes connections from the start."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.run())
        try:
            yield server
        finally:
            task.cancel()
