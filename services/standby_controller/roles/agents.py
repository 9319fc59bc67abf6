"""What the use cases ask of the two agents, and how they wait for what those do by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from shared.clock import Clock
from shared.errors import PeerError, TransitionFailed
from shared.node.controller_model import CloseNode, NodeClosed
from shared.node.model import AttemptName, NodeView, OrderFence, Prepare, Promote
from shared.node.reasons import Reason

_LOOK_SECONDS: Final = 0.05
_LONGEST_LOOK_SECONDS: Final = 0.5


class OwnAgent(Protocol):
    """This node's agent on its unix socket. All raise PeerError."""

    async def node(self) -> NodeView:
        """Read the record."""

    async def promote(self, asked: Promote) -> NodeView:
        """Open an attempt."""

    async def commit(self, asked: AttemptName) -> NodeView:
        """Go on after a handover."""

    async def abandon(self, asked: AttemptName) -> NodeView:
        """Give an attempt up."""

    async def follow(self, epoch: int) -> NodeView:
        """Be a standby."""


class PeerAgent(Protocol):
    """A peer's agent. All raise PeerError."""

    async def node(self) -> NodeView:
        """Read the record."""

    async def prepare_handover(self, asked: Prepare) -> NodeView:
        """Close for an attempt."""

    async def order_fence(self, asked: OrderFence) -> NodeView:
        """Stop serving."""


class PeerController(Protocol):
    """A peer's controller. All raise PeerError."""

    async def close_node(self, asked: CloseNode, *, deadline_seconds: float) -> NodeClosed:
        """Have it close its own node, whose agent is dead."""


class Agent(Protocol):
    """Either of them, to look at."""

    async def node(self) -> NodeView:
        """Read the record."""


async def wait_until(
    agent: Agent, is_so: Callable[[NodeView], bool], *, what: str, limit_seconds: float, clock: Clock
) -> NodeView:
    """Look at a node until something is so; one that does not answer meanwhile is asked on.

    Raises TransitionFailed when it is not so in time.
    """
    deadline, pause, seen = clock.monotonic() + limit_seconds, _LOOK_SECONDS, "it did not answer"
    while True:
        try:
            view = await agent.node()
        except PeerError as error:
            seen = error.detail
        else:
            if is_so(view):
                return view
            seen = f"the node is {view.state}" + (f": {view.reason}" if view.reason else "")
        if clock.monotonic() > deadline:
            raise TransitionFailed(f"{what}: not within {limit_seconds:g} s; {seen}")
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_LOOK_SECONDS)


def is_promoting(view: NodeView, change_id: str) -> bool:
    """Say whether the attempt is open, as far as is known: a restarted agent says so a moment later."""
    is_unknown = view.reason_code == Reason.START_UNKNOWN
    return is_unknown or (view.attempt is not None and view.attempt.id == change_id)
