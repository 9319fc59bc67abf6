"""Calls that are made up from a document: what of them reaches the service."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from schemathesis import Case, Response


def was_sent_whole(case: Case[Any], response: Response) -> bool:
    """Say whether all parameters arrived: a forbidden one with nothing in it is not sent, and nobody can refuse it."""
    sent = parse_qs(urlsplit(response.request.url or "").query, keep_blank_values=True)
    return (case.query or {}).keys() <= sent.keys()
