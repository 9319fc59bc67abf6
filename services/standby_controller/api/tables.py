"""Lists as CSV, for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from fastapi import Request

CSV: Final = "text/csv"


def wants_csv(request: Request) -> bool:
    """Say whether the caller asked for CSV."""
    return CSV in request.headers.get("Accept", "")


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table with its head."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_harmless(value) for value in row])
    return text.getvalue()


def link_to_next(request: Request, cursor: str | None) -> dict[str, str]:
    """Return the header that leads to the next page; none at the end."""
    if cursor is None:
        return {}
    return {"Link": f'<{request.url.include_query_params(cursor=cursor)}>; rel="next"'}


def _harmless(value: object) -> object:
    """Keep a spreadsheet from reading a text as a formula."""
    return "'" + value if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
