"""Windows of time and their spans, as the routes that sum up history take them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import Query

from services.standby_controller.store.series import MOST_SPANS, Window
from shared.clock import format_instant
from shared.errors import WindowInvalid

SpanSeconds = Annotated[
    int | None,
    Query(ge=1, le=366 * 86400, description=f"Length of a span; the window holds {MOST_SPANS} of them at most."),
]
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""The calendar's own ends stand for infinity in the database."""
_LENGTHS: Final = (60, 300, 900, 3600, 6 * 3600, 86400, 7 * 86400)


def window_of(at_from: datetime | None, at_before: datetime | None, now: datetime, default: timedelta) -> Window:
    """Return the window that was asked for: up to now, and so long, where nothing else is said.

    Raises WindowInvalid.
    """
    before = min(max(now if at_before is None else at_before, _FIRST), _LAST)
    window = Window(max(before - default if at_from is None else at_from, _FIRST), before)
    if window.seconds <= 0:
        raise WindowInvalid(f"{format_instant(window.at_from)} is not before {format_instant(window.at_before)}")
    return window


def check_span(window: Window, span_seconds: int) -> int:
    """Return the length of the spans; raises WindowInvalid where there are too many."""
    count = math.ceil(window.seconds / span_seconds)
    if count > MOST_SPANS:
        raise WindowInvalid(f"{count} spans of {span_seconds} s are in the window, and {MOST_SPANS} are allowed")
    return span_seconds


def choose_span(window: Window) -> int:
    """Return the shortest usual length of a span that fits."""
    return next(
        (length for length in _LENGTHS if window.seconds / length <= MOST_SPANS),
        math.ceil(window.seconds / MOST_SPANS),
    )
