"""The acts that close a node's databases, as its agent does them, and its controller where the agent is dead."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from shared.errors import DatabaseUnreachable, FenceIncomplete
from shared.node.steps import Act


class Closable(Protocol):
    """What closes a node's databases. All raise WarmstandbyError."""

    async def close(self) -> None:
        """Let no new session of an application in."""

    async def end(self, deadline_seconds: float) -> None:
        """End every session that is not ours; raises FenceIncomplete."""

    async def prove(self) -> object:
        """See that nobody can write any more; raises FenceIncomplete."""

    async def is_shut_down(self) -> bool:
        """Say whether the server is down and will be closed when it starts."""


async def do_closing_act(fence: Closable, act: Act, *, deadline_seconds: float, is_for_good: bool) -> object:
    """Do one act of closing and return the proof if there is one; raise FenceIncomplete, PostgresError.

    An act that closes nothing is not ours to do. A handover would lose transactions prepared for two phases, and ends
    with the server up; who stops for good keeps those transactions for later, and is closed where the server is down
    and finds the list when it starts.
    """
    match act:
        case Act.CLOSE:
            return await _unless_shut_down(fence, fence.close(), is_for_good=is_for_good)
        case Act.END_SESSIONS:
            ending = _end_sessions(fence, deadline_seconds, is_for_good=is_for_good)
            return await _unless_shut_down(fence, ending, is_for_good=is_for_good)
        case Act.PROVE:
            return await _unless_shut_down(fence, fence.prove(), is_for_good=is_for_good)
        case _:
            return None


async def _end_sessions(fence: Closable, deadline_seconds: float, *, is_for_good: bool) -> None:
    try:
        await fence.end(deadline_seconds)
    except FenceIncomplete as error:
        if not is_for_good or error.sessions or not error.prepared:
            raise


async def _unless_shut_down(fence: Closable, act: Awaitable[object], *, is_for_good: bool) -> object:
    try:
        return await act
    except DatabaseUnreachable:
        if not is_for_good or not await fence.is_shut_down():
            raise
    return None
