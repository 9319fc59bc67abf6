"""Keyset pagination: a page of a list and the opaque mark where the next one starts. No SQL."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from shared.clock import format_instant
from shared.errors import CursorInvalid

MAX_LIMIT: Final = 200

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items, newest first, and where to go on; None at the end."""

    items: tuple[Item, ...]
    next_cursor: str | None


def encode_cursor(*key: datetime | str | int) -> str:
    """Return the mark of the last item of a page."""
    values = [format_instant(value) if isinstance(value, datetime) else value for value in key]
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def decode_cursor(text: str, *kinds: type) -> tuple[datetime | str | int, ...]:
    """Return the key inside a mark; raise CursorInvalid for anything `encode_cursor` did not make of these kinds."""
    try:
        values = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        return tuple(_restore(value, kind) for value, kind in zip(values, kinds, strict=True))
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise CursorInvalid("the cursor is not one that this list gave") from error


def _restore(value: object, kind: type) -> datetime | str | int:
    if kind is datetime and isinstance(value, str):
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is None:
            raise ValueError("an instant without a zone")
        return instant
    if kind is int and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return value
    if kind is str and isinstance(value, str) and "\0" not in value:
        return value
    raise ValueError("a value of another kind")
