"""Holds a shutdown or sleep of this server up while a sync runs, where systemd can; a sync never waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

log = logging.getLogger(__name__)

PROGRAM: Final = "systemd-inhibit"
_END_SECONDS: Final = 2.0


class PowerGuard:
    """Takes an inhibitor lock for a block; `is_kept` says whether the last was granted, None where none was tried."""

    def __init__(self) -> None:
        self.is_kept: bool | None = None

    @asynccontextmanager
    async def hold(self, why: str) -> AsyncIterator[None]:
        """Hold a shutdown up for a block, if that can be had."""
        process = await self._ask(why)
        try:
            yield
        finally:
            if process is not None:
                self.is_kept = process.returncode is None  # it ends by itself only where it was refused
                await _let_go(process)

    async def _ask(self, why: str) -> asyncio.subprocess.Process | None:
        """Start the program that holds the lock as long as it can read from this process, which may die at any time."""
        path = shutil.which(PROGRAM)
        if path is None:
            return None
        try:
            return await asyncio.create_subprocess_exec(
                path,
                "--what=shutdown:sleep",
                "--who=Warmstandby",
                f"--why={why}",
                "--mode=block",
                "cat",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            log.info("shutdown not inhibited", extra={"detail": str(error)})
            self.is_kept = False
            return None


async def _let_go(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(_END_SECONDS):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
