"""A wall clock of one node that a test sets, also while the node runs; durations stay what they are (libfaketime).

The servers of PostgreSQL keep the machine's clock: nothing here asks them for the time.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

from lab.node import Node

_LIBRARY: Final = "vendor/libfaketime/src/libfaketime.so.1"


class FalseClock:
    """The clock of a node whose services start after this."""

    def __init__(self, node: Node, *, ahead_seconds: float = 0.0) -> None:
        """Have both services read it."""
        self._file = node.config.parent / "clock"
        self.ahead_seconds = 0.0
        self.set(ahead_seconds)
        for service in node.services:
            service.is_reared = False  # the loader must see it
            service.environment = {
                "LD_PRELOAD": str(_library()),
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_TIMESTAMP_FILE": str(self._file),
            }

    def set(self, ahead_seconds: float) -> None:
        """Put it so far ahead of the machine's clock, from the next reading on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead_seconds:+.3f}\n")
        new.replace(self._file)
        self.ahead_seconds = ahead_seconds


def _library() -> Path:
    found = importlib.util.find_spec("libfaketime")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / _LIBRARY
    assert path.exists(), path
    return path
