"""Where the demo shows itself: a block that refreshes on a terminal, plain lines elsewhere; knows no sync."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from typing import Final, Protocol, TextIO

QUIET_SECONDS: Final = 5.0
UP: Final = "\x1b[{}F"
CLEAR_LINE: Final = "\x1b[2K"
CLEAR_BELOW: Final = "\x1b[J"
HIDE_CURSOR: Final = "\x1b[?25l"
SHOW_CURSOR: Final = "\x1b[?25h"


class Screen(Protocol):
    """Takes lines that stay, and a block that is replaced by the next one."""

    def say(self, text: str) -> None:
        """Write lines that stay."""

    def show(self, stage: str, lines: Sequence[str]) -> None:
        """Show where things stand now; the stage names it in a word."""

    def clear(self) -> None:
        """Take the block away."""


class TerminalScreen:
    """Refreshes the block in place by ANSI codes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._height = 0

    def say(self, text: str) -> None:
        """Write lines above the block."""
        self.clear()
        self._stream.write(text + "\n")
        self._stream.flush()

    def show(self, stage: str, lines: Sequence[str]) -> None:
        """Replace the block."""
        width = shutil.get_terminal_size().columns - 1
        back = UP.format(self._height) if self._height else HIDE_CURSOR
        text = "".join(f"{CLEAR_LINE}{line[:width]}\n" for line in lines)
        self._stream.write(back + text + CLEAR_BELOW)
        self._stream.flush()
        self._height = len(lines)

    def clear(self) -> None:
        """Take the block away and give the cursor back."""
        if self._height:
            self._stream.write(UP.format(self._height) + CLEAR_BELOW + SHOW_CURSOR)
            self._stream.flush()
            self._height = 0


class PlainScreen:
    """Writes a line when the stage changes, and then now and then."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._stage = ""
        self._said_at = time.monotonic()

    def say(self, text: str) -> None:
        """Write lines."""
        self._stream.write(text + "\n")
        self._stream.flush()
        self._said_at = time.monotonic()

    def show(self, stage: str, lines: Sequence[str]) -> None:
        """Write the block as one line where it is news."""
        now = time.monotonic()
        if stage != self._stage or now - self._said_at >= QUIET_SECONDS:
            self._stage = stage
            self.say("  ".join(line.strip() for line in lines))

    def clear(self) -> None:
        """Forget the stage."""
        self._stage = ""


def open_screen(stream: TextIO) -> Screen:
    """Return the screen that fits the stream."""
    return TerminalScreen(stream) if stream.isatty() else PlainScreen(stream)
