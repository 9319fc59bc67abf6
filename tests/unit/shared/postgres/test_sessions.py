"""What an error of the driver is to those who used a session."""

from __future__ import annotations

import logging
import sys

import asyncpg
import pytest

from shared.errors import DatabaseUnreachable
from shared.errors.groups import first_of
from shared.postgres.sessions import forget_lost_sessions, translated


def test_what_hides_the_loss_of_a_session_is_not_told() -> None:
    """A lost session that is asked again fails too; people are told what happened first."""
    with pytest.raises(DatabaseUnreachable, match="reading: the server went away"):
        _ask_a_lost_session()


@pytest.mark.timeout(10)
def test_a_loss_that_came_out_of_a_group_is_told_once() -> None:
    """Such an error and its group are each other's context: whoever follows the chain to its end never arrives."""
    with pytest.raises(DatabaseUnreachable, match="reading: connection is closed"):
        _lose_a_session_in_a_group()


@pytest.mark.parametrize(
    ("error", "is_kept"), [(asyncpg.ConnectionDoesNotExistError("closed"), False), (ValueError("a bug"), True)]
)
def test_of_futures_that_nobody_awaited_only_lost_sessions_are_forgotten(error: Exception, *, is_kept: bool) -> None:
    """The driver leaves such a future behind when a COPY meets the end of its session."""
    try:
        raise error
    except Exception:
        text = "Future exception was never retrieved"
        record = logging.LogRecord("asyncio", logging.ERROR, __file__, 1, text, (), sys.exc_info())
    assert forget_lost_sessions(record) is is_kept


@translated("reading")
def _ask_a_lost_session() -> None:
    try:
        raise ConnectionResetError("the server went away")
    except ConnectionResetError:
        raise asyncpg.InterfaceError("connection is closed")  # noqa: B904 # as the driver does


@translated("reading")
def _lose_a_session_in_a_group() -> None:
    try:
        raise ExceptionGroup("tasks", [asyncpg.InterfaceError("connection is closed")])
    except ExceptionGroup as errors:
        raise first_of(errors) from None
