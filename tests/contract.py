"""Calls that are made up from a document: what of them reaches the service."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from schemathesis import Case, Response


def was_sent_whole(case: Case[Any], response: Response) -> bool:
    """Say whether all parameters arrived as they are, so that a forbidden one can be refused.

    An empty list is not sent at all, and one with a single member looks like that member.
    """
    sent = parse_qs(urlsplit(response.request.url or "").query, keep_blank_values=True)
    asked = case.query or {}
    return asked.keys() <= sent.keys() and not any(isinstance(one, list) and len(one) == 1 for one in asked.values())
