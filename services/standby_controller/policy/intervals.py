"""ISO 8601 durations as schedules use them: weeks and days of the calendar, hours, minutes and seconds that elapse."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

DAY_SECONDS: Final = 86400
EXAMPLES: Final = "ISO 8601 durations like PT60M, PT6H, P1D or P1W (years and months are of no fixed length)"
_SHAPE: Final = re.compile(
    r"P(?:(?P<weeks>\d{1,6})W|(?:(?P<days>\d{1,6})D)?(?:T(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,6})M)?"
    r"(?:(?P<seconds>\d{1,8})S)?)?)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Every:
    """How far one run is from the next: days of a calendar, and seconds that elapse."""

    days: int
    seconds: int

    @property
    def nominal_seconds(self) -> int:
        """Return the length with days of 24 hours."""
        return self.days * DAY_SECONDS + self.seconds


def parse_every(text: str) -> Every:
    """Return the value of an ISO 8601 duration; raises ValueError for what is none, or nothing long."""
    found = _SHAPE.fullmatch(text)
    if found is None or text.endswith(("P", "T")):
        raise ValueError(f"allowed are {EXAMPLES}")
    parts = {name: int(value or 0) for name, value in found.groupdict().items()}
    every = Every(
        days=7 * parts["weeks"] + parts["days"],
        seconds=3600 * parts["hours"] + 60 * parts["minutes"] + parts["seconds"],
    )
    if every.nominal_seconds == 0:
        raise ValueError("a duration of nothing")
    return every


def format_seconds(seconds: int) -> str:
    """Return the ISO 8601 duration of elapsed seconds, in the largest unit of time that says it without a rest."""
    for size, unit in ((3600, "H"), (60, "M")):
        if seconds % size == 0:
            return f"PT{seconds // size}{unit}"
    return f"PT{seconds}S"
