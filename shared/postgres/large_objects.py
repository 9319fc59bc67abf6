"""SQL that reads large objects: one text for the source and the copy, so that equal content reads equal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session

_QUERIES: Final = load_queries("shared.postgres", "large_objects.sql")
_PIECE_BYTES: Final = 2**20
_MAY_READ: Final = f"({_QUERIES['may_read']})"


@dataclass(frozen=True, slots=True)
class ObjectCount:
    """How many large objects a database holds, and how many of them our role may not read."""

    total: int
    unreadable: int


async def count_objects(session: Session) -> ObjectCount:
    """Return how many there are."""
    row = await session.fetchrow(_QUERIES["count_objects"].format(may_read=_MAY_READ))
    assert row is not None
    return ObjectCount(**row)


def write_rights() -> str:
    """Return an expression for the rights on a large object `m` of pg_largeobject_metadata, as a JSON list."""
    return _QUERIES["list_rights"]


def write_object_list() -> str:
    """Return a SELECT of `oid, owner, rights, comment, size, digest`; the last two are null where we may not read."""
    return _QUERIES["list_objects"].format(rights=write_rights(), may_read=_MAY_READ, piece_bytes=_PIECE_BYTES)


def write_contents(wanted: str) -> str:
    """Return a SELECT of `oid, place, data`, in pieces, of the large objects of a FROM clause with a column `oid`."""
    return _QUERIES["list_contents"].format(wanted=wanted, piece_bytes=_PIECE_BYTES)


def write_named(oids: Iterable[int]) -> str:
    """Return a FROM clause of large objects by their oids."""
    return _QUERIES["name_objects"].format(oids=",".join(map(str, oids)))
