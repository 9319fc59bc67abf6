"""How a service lives: siblings that end together, the one periodic runner, and a graceful stop on SIGTERM and SIGINT.

Nothing here knows what the loops do.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from shared.clock import Clock, SystemClock
from shared.errors import WarmstandbyError
from shared.log import fields_of

log = logging.getLogger(__name__)

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class SiblingEnded(Exception):
    """A loop that must not end has returned."""


@dataclass(frozen=True, slots=True)
class Sibling:
    """A loop or a server of the process; `run` ends only by cancellation."""

    name: str
    run: Callable[[], Coroutine[Any, Any, None]]


async def run_siblings(siblings: Sequence[Sibling], *, stop: asyncio.Event | None = None) -> None:
    """Run the siblings until a stop signal (or `stop`); then cancel them one by one, the last first.

    An exception in one, or one that returns, ends all and leaves as an ExceptionGroup: no process lives on with a part
    of it dead.
    """
    stop = stop or asyncio.Event()
    with _stop_signals(stop):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_run_for_ever(sibling), name=sibling.name) for sibling in siblings]
            await stop.wait()
            log.info("stopping")
            for task in reversed(tasks):
                task.cancel()
                await asyncio.wait([task])


async def _run_for_ever(sibling: Sibling) -> None:
    await sibling.run()
    raise SiblingEnded(sibling.name)


@contextmanager
def _stop_signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


async def run_every(
    seconds: float | Callable[[], float],
    action: Callable[[], Awaitable[None]],
    *,
    name: str,
    clock: Clock | None = None,
    wake: asyncio.Event | None = None,
) -> None:
    """Do `action` now and then every so many seconds, counted from start to start, without catching up.

    An error of our tree is logged once for each change and the next round comes; any other ends the loop. Setting
    `wake` makes the next round come at once.
    """
    clock = clock or SystemClock()
    trouble: tuple[str, str] | None = None
    while True:
        started = clock.monotonic()
        trouble = await _do_once(action, name, trouble)
        pause = seconds() if callable(seconds) else seconds
        await _sleep(max(0.0, started + pause - clock.monotonic()), wake)


async def _do_once(
    action: Callable[[], Awaitable[None]], name: str, trouble: tuple[str, str] | None
) -> tuple[str, str] | None:
    """Do the action; return the trouble it is in now."""
    try:
        await action()
    except WarmstandbyError as error:
        now = (error.code, error.detail)
        if now != trouble:
            log.warning("loop in trouble", extra={"loop": name, **fields_of(error)})
        return now
    if trouble is not None:
        log.info("loop well again", extra={"loop": name})
    return None


async def _sleep(seconds: float, wake: asyncio.Event | None) -> None:
    if wake is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return
    wake.clear()
