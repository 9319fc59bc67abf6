"""Time that passes only when nobody has anything to do: an event loop whose clock jumps to the next timer."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

Result = TypeVar("Result")

_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)


class _Jumping(selectors.BaseSelector):
    """Waits for nothing; notes how long it was told to wait."""

    def __init__(self) -> None:
        self.waited = 0.0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, 0, None)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits for ever")
        self.waited += max(timeout, 0.0)
        return []

    def get_map(self) -> Any:
        return {}


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop of its own time; what would run in a thread happens after a moment of that time."""

    def __init__(self, chance: random.Random) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self._chance = chance

    def time(self) -> float:
        """Return the virtual seconds."""
        return self._jumping.waited

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Result], *args: Any
    ) -> asyncio.Future[Result]:
        """Do it after some milliseconds, as a disk does."""
        future: asyncio.Future[Result] = self.create_future()

        def do() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except asyncio.CancelledError:
                future.cancel()  # whoever waited is dead
            except Exception as error:
                if not future.cancelled():
                    future.set_exception(error)

        self.call_later(self._chance.uniform(0.0, 0.02), do)
        return future


class VirtualClock:
    """The loop's time as a clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self._loop.time()

    def now(self) -> datetime:
        """Return the wall clock."""
        return _EPOCH + timedelta(seconds=self._loop.time())


def run_virtually(chance: random.Random, main: Callable[[VirtualLoop], Coroutine[Any, Any, Result]]) -> Result:
    """Run to the end in virtual time; whatever still runs then is cancelled."""
    loop = VirtualLoop(chance)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main(loop))
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        asyncio.set_event_loop(None)
        loop.close()
