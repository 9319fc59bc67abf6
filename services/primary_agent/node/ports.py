"""What a change of roles needs of its surroundings: fence, capture, hooks, the peers. Contracts only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from services.primary_agent.capture.base import BaseResult
from services.primary_agent.node.hooks import HookResult
from shared.errors import HookVeto
from shared.fencing.model import FenceStrength
from shared.node.model import NodeView, OrderFence, Settle, Settled
from shared.surroundings import HookName


class DatabaseFence(Protocol):
    """Closes and opens this node's databases to applications; every act can be repeated. All raise WarmstandbyError."""

    strength: FenceStrength
    problem: str | None
    opening: str | None

    async def close(self) -> None:
        """Let no new session of an application in."""

    async def end(self, deadline_seconds: float) -> None:
        """End every session that is not ours; raises FenceIncomplete."""

    async def prove(self) -> object:
        """See that nobody can write any more; raises FenceIncomplete."""

    async def open(self) -> None:
        """Give back what `close` took."""

    async def is_closed(self) -> bool:
        """Say whether nobody can enter and nobody is inside."""

    async def is_open(self) -> bool:
        """Say whether nothing is left of a fence."""

    async def is_shut_down(self) -> bool:
        """Say whether the server is down and will be closed when it starts."""

    async def stop_apply(self, deadline_seconds: float) -> None:
        """See to it that no sync writes here any more; raises ApplyNotStopped."""

    async def resume_apply(self) -> None:
        """Let syncs write here."""


class TermCapture(Protocol):
    """Notes where both copies were equal, before the databases of a promoted node open."""

    async def begin_term(self, epoch: int, *, sequence_headroom: int) -> tuple[BaseResult, ...]:
        """Return what came of it for each component, its sequences moved on; ends within its limit, raises nothing."""


class HookRunner(Protocol):
    """Runs an administrator's program."""

    async def run_until(self, name: HookName, environment: Mapping[str, str]) -> HookResult | None:
        """Run a hook, again where its rule says so; None where none is configured."""

    def end(self, *names: HookName) -> None:
        """Kill these hooks where they run; they have failed then."""


async def run_hook(hooks: HookRunner, name: HookName, environment: Mapping[str, str]) -> str:
    """Run a hook and return the end of its output; raise HookVeto for one that fails."""
    result = await hooks.run_until(name, environment)
    if result is None:
        return ""
    if not result.is_success:
        ended = "was killed at its limit" if result.was_killed else f"ended with exit code {result.exit_code}"
        raise HookVeto(f"hook {name} {ended}: {result.output_tail.strip()[-500:]}")
    return result.output_tail.strip()[-500:]


class Peer(Protocol):
    """A peer's agent. All raise PeerError."""

    async def node(self) -> NodeView:
        """Read its record."""

    async def settle(self, asked: Settle) -> Settled:
        """Ask for the outcome of an attempt it holds."""

    async def order_fence(self, asked: OrderFence) -> NodeView:
        """Tell it to stop serving."""


class Peers(Protocol):
    """All peers."""

    def client(self, node_id: str) -> Peer:
        """Return the way to one; raises NotFound."""

    async def look_now(self, limit_seconds: float, *, but: str | None = None) -> tuple[NodeView, ...]:
        """Ask all but one at this moment and return what came within the limit."""
