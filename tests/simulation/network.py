"""The network of a simulated pair: each direction can be cut, lose and delay, also the answer alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from shared.errors import PeerRefusal, PeerUnreachable, WarmstandbyError
from shared.node.model import Eligible, Grant, GrantAsked, NodeView, OrderFence, Prepare, Settle, Settled

if TYPE_CHECKING:
    from tests.simulation.machine import Agent, Machine

Answer = TypeVar("Answer")
DEADLINE_SECONDS = 3.0


@dataclass
class Network:
    """What happens to messages; `troubled_until` tells until when one could have been lost."""

    chance: random.Random
    cut: set[tuple[str, str]] = field(default_factory=set)
    loss: float = 0.0
    longest_delay: float = 0.01
    troubles: list[list[float]] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Say whether every message arrives in time."""
        return not self.cut and self.loss == 0.0 and self.longest_delay < 0.1

    def change(self, now: float, **what: object) -> None:
        """Change how it is, and note from when to when it was not well."""
        was_well = self.is_well
        for name, value in what.items():
            setattr(self, name, value)
        if was_well and not self.is_well:
            self.troubles.append([now, float("inf")])
        elif not was_well and self.is_well:
            self.troubles[-1][1] = now

    def was_troubled(self, since: float, until: float) -> bool:
        """Say whether a message could have been lost in that time."""
        return any(begin <= until and end >= since for begin, end in self.troubles)

    async def pass_message(self, source: str, target: str) -> bool:
        """Wait as long as a message takes; False for one that never arrives."""
        await asyncio.sleep(self.chance.uniform(0.0005, self.longest_delay))
        return (source, target) not in self.cut and self.chance.random() >= self.loss


class Link:
    """A peer's agent as a node's agent reaches it."""

    def __init__(self, network: Network, source: str, target: Machine) -> None:
        self.node_id = target.name
        self._network = network
        self._source = source
        self._target = target

    async def node(self) -> NodeView:
        """Read its record."""

        async def answer(agent: Agent) -> NodeView:
            return agent.node.view()

        return await self._ask(answer)

    async def settle(self, asked: Settle) -> Settled:
        """Ask for the outcome of an attempt."""
        return await self._ask(lambda agent: agent.roles.settle(asked, self._source))

    async def order_fence(self, asked: OrderFence) -> NodeView:
        """Tell it to stop."""
        return await self._ask(lambda agent: agent.roles.order_fence(asked, self._source))

    async def grant(self, asked: GrantAsked) -> Grant:
        """Ask whether this node may serve on."""
        return await self._ask(lambda agent: agent.roles.grant(asked, self._source))

    async def prepare(self, asked: Prepare) -> NodeView:
        """Ask it to close for an attempt."""
        return await self._ask(lambda agent: agent.roles.prepare_handover(asked, self._source))

    async def set_eligible(self, asked: Eligible) -> NodeView:
        """Have this node noted as one that may promote itself, or may not."""
        return await self._ask(lambda agent: agent.roles.set_eligible(asked, self._source))

    async def rows(self) -> frozenset[int] | None:
        """Read its rows, as an export does; None where it does not export to this node."""

        async def answer(agent: Agent) -> frozenset[int] | None:
            try:
                agent.node.require_exporting(self._source)
            except WarmstandbyError:
                return None
            return frozenset(self._target.rows)

        return await self._ask(answer)

    async def is_controller_there(self) -> bool:
        """Say whether the peer's controller answers: it lives as long as its host."""
        there = self._target.is_up and await self._network.pass_message(self._source, self._target.name)
        back = there and await self._network.pass_message(self._target.name, self._source)
        if not back:
            await asyncio.sleep(1.0)
        return back and self._target.is_up

    async def _ask(self, handle: Callable[[Agent], Awaitable[Answer]]) -> Answer:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await self._exchange(handle)
        except TimeoutError:
            raise PeerUnreachable(f"node {self.node_id} did not answer in time") from None

    async def _exchange(self, handle: Callable[[Agent], Awaitable[Answer]]) -> Answer:
        network, target = self._network, self._target
        if not await network.pass_message(self._source, target.name) or not target.is_up:
            await asyncio.sleep(2 * DEADLINE_SECONDS)
        if target.agent is None:
            raise PeerUnreachable(f"node {target.name} refuses connections")
        agent = target.agent
        handling: asyncio.Task[Answer] = agent.spawn(handle(agent))
        await asyncio.wait([handling])  # when the time of who asked is over, what was asked is done all the same
        if handling.cancelled():
            raise PeerUnreachable(f"node {target.name} died")
        if not await network.pass_message(target.name, self._source):
            await asyncio.sleep(2 * DEADLINE_SECONDS)
        failure = handling.exception()
        if isinstance(failure, WarmstandbyError):
            raise PeerRefusal(failure.detail, peer_code=failure.code, peer_status=failure.status)
        return handling.result()
