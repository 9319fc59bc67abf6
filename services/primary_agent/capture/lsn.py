"""Positions in a server's log, as it writes them: two hexadecimal halves of a number of bytes. Pure."""

from __future__ import annotations


def read_lsn(text: str) -> int:
    """Return a position in bytes; raises ValueError for what is none."""
    high, low = text.split("/")
    return (int(high, 16) << 32) | int(low, 16)


def write_lsn(position: int) -> str:
    """Return a position as the server writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def distance(lsn: str, other: str) -> int:
    """Return how many bytes the first position is past the second."""
    return read_lsn(lsn) - read_lsn(other)


def bound_chunk(upto: str, position: str, restart: str, chunk_bytes: int) -> str:
    """Return the end of the next piece to read: not past the wanted position, not more than so many bytes.

    Reading begins at `restart`, which may lie before or, while nothing was stored, behind `position`.
    """
    return write_lsn(min(read_lsn(upto), max(read_lsn(position), read_lsn(restart)) + chunk_bytes))
