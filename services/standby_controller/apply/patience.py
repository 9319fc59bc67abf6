"""Asks the active node again: while it only makes its capture, as a new one does, or where an export ended early."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from shared.errors import CaptureDamaged, CaptureNotReady, PeerRefusal, TableRewritten

_PASSING: Final = frozenset({CaptureNotReady.code, CaptureDamaged.code})
_PATIENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.5
_ATTEMPTS: Final = 5
_log = logging.getLogger(__name__)

T = TypeVar("T")


async def ask_patiently(component: str, ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until the capture is there; raises what is refused for another reason, or for too long."""
    clock = asyncio.get_running_loop().time
    deadline, told = clock() + _PATIENCE_SECONDS, ""
    while True:
        try:
            return await ask()
        except PeerRefusal as refusal:
            if refusal.peer_code not in _PASSING or clock() > deadline:
                raise
            if refusal.detail != told:
                told = refusal.detail
                _log.info("capture is waited for", extra={"component": component, "detail": told})
        await asyncio.sleep(_PAUSE_SECONDS)


async def try_again(component: str, step: Callable[[], Awaitable[T]], codes: frozenset[str]) -> T:
    """Repeat a step with a fresh export while it ends by one of these refusals."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return await step()
        except (PeerRefusal, TableRewritten) as error:
            code = error.peer_code if isinstance(error, PeerRefusal) else error.code
            if code not in codes or attempt == _ATTEMPTS:
                raise
            _log.info("export starts again", extra={"component": component, "detail": error.detail})
    raise AssertionError("the last attempt returns or raises")
