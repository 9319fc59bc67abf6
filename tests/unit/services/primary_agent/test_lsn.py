"""Positions in the log, compared and cut into pieces without asking the server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.primary_agent.capture.lsn import bound_chunk, distance, read_lsn, write_lsn

positions = st.integers(0, 2**64 - 1)


@given(positions)
def test_a_position_is_read_as_it_is_written(position: int) -> None:
    assert read_lsn(write_lsn(position)) == position


@pytest.mark.parametrize("text", ["0/0", "0/16B3748", "16/B374D848", "FFFFFFFF/FFFFFFFF"])
def test_it_is_written_as_the_server_does(text: str) -> None:
    assert write_lsn(read_lsn(text)) == text


@given(positions, positions)
def test_a_distance_has_a_sign(one: int, other: int) -> None:
    assert distance(write_lsn(one), write_lsn(other)) == one - other


@pytest.mark.parametrize(
    ("upto", "position", "restart", "end"),
    [
        ("0/500", "0/100", "0/50", "0/200"),
        ("0/180", "0/100", "0/50", "0/180"),
        ("0/500", "0/100", "0/300", "0/400"),
        ("1/10", "0/FFFFFFF0", "0/0", "1/10"),
        ("1/500", "0/FFFFFFF0", "0/0", "1/F0"),
    ],
)
def test_a_piece_has_an_end(upto: str, position: str, restart: str, end: str) -> None:
    assert bound_chunk(upto, position, restart, 0x100) == end
