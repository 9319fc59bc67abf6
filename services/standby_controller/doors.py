"""Asks at a peer's other doors and at the reference targets. What the answers mean is `policy/detector.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from services.standby_controller.policy.detector import Door
from shared.addresses import host_of, port_of
from shared.clock import Clock
from shared.errors import PeerRefusal, PeerRefusedUs, PeerUnreachable, ProtocolMismatch, WarmstandbyError, WrongPair
from shared.lifecycle import Sibling, run_every
from shared.node.controller_model import ControllerView
from shared.settings import Settings

_ASK_FOR_TLS: Final = bytes.fromhex("0000000804d2162f")  # PostgreSQL answers one byte to it, before any login
_POSTGRES_ANSWERS: Final = (b"S", b"N", b"E")
_SEEN_FROM_BOTH: Final = (ProtocolMismatch.code, WrongPair.code)
"""Faults of the pair that either node may find first."""

_Check: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Door]]


class ControllerSource(Protocol):
    """A peer's controller."""

    async def check_live(self) -> None:
        """Ask its probe, with a deadline; raises PeerError."""

    async def view(self) -> ControllerView:
        """Ask what it knows, with a deadline; raises PeerError and RoleError."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the doors besides the agent's answered."""

    controller: Door = Door.NOT_ASKED
    database: Door = Door.NOT_ASKED
    references: Door = Door.NOT_ASKED


class Doors:
    """The other doors of each peer, and the reference targets; each question has the heartbeat's timeout."""

    def __init__(self, settings: Settings, controllers: Mapping[str, ControllerSource], clock: Clock) -> None:
        self._controllers = controllers
        self._databases = {peer.node_id: peer.database for peer in settings.peers}
        self._targets: Sequence[str] = settings.controller.reference_targets
        self._interval_seconds = settings.controller.heartbeat_seconds
        self._timeout_seconds = settings.controller.heartbeat_timeout_seconds
        self._clock = clock
        self._references = (clock.monotonic(), Door.SILENT)

    def sibling(self) -> Sibling:
        """Return the loop that looks at the reference targets while all is well."""

        async def run() -> None:
            await run_every(self._interval_seconds, self._look, name="reference targets", clock=self._clock)

        return Sibling("reference targets", run)

    def references(self, limit_seconds: float) -> Door:
        """Return what the reference targets answered last; what was answered longer ago counts as silence."""
        if not self._targets:
            return Door.NOT_ASKED
        looked_at, answer = self._references
        return answer if self._clock.monotonic() - looked_at <= limit_seconds else Door.SILENT

    async def ask(self, node_id: str) -> Opinion:
        """Ask at all doors at once; takes no longer than the timeout, and raises nothing."""
        controller, database, references = await asyncio.gather(
            _ask(self._controllers[node_id].check_live), self._ask_database(node_id), self._ask_references()
        )
        return Opinion(controller, database, references)

    async def _look(self) -> None:
        await self._ask_references()

    async def _ask_database(self, node_id: str) -> Door:
        address = self._databases[node_id]
        if address is None:
            return Door.NOT_ASKED
        return await self._knock(address, _check_postgres)

    async def _ask_references(self) -> Door:
        """Say whether any target takes a connection; the first that does is enough."""
        if not self._targets:
            return Door.NOT_ASKED
        answer = Door.SILENT
        async with asyncio.TaskGroup() as group:
            waiting = {group.create_task(self._knock(target, _check_nothing)) for target in self._targets}
            while waiting and answer is Door.SILENT:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if any(task.result() is Door.ANSWERED for task in done):
                    answer = Door.ANSWERED
            for task in waiting:
                task.cancel()
        self._references = (self._clock.monotonic(), answer)
        return answer

    async def _knock(self, address: str, check: _Check) -> Door:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                reader, writer = await asyncio.open_connection(host_of(address), port_of(address))
                try:
                    return await check(reader, writer)
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return Door.SILENT


def door_of_error(error: WarmstandbyError) -> Door:
    """Return what it means that a node could not be asked."""
    if isinstance(error, PeerUnreachable):
        return Door.SILENT
    if isinstance(error, PeerRefusedUs) or fault_of_error(error) in _SEEN_FROM_BOTH:
        return Door.REFUSED
    return Door.GARBLED


def fault_of_error(error: WarmstandbyError) -> str:
    """Return the code of what is wrong, the same whether this node has found it or the other one."""
    if isinstance(error, PeerRefusal) and error.peer_code in _SEEN_FROM_BOTH:
        return error.peer_code
    return error.code


async def _ask(question: Callable[[], Awaitable[object]]) -> Door:
    try:
        await question()
    except WarmstandbyError as error:
        return door_of_error(error)
    return Door.ANSWERED


async def _check_nothing(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> Door:
    return Door.ANSWERED


async def _check_postgres(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Door:
    writer.write(_ASK_FOR_TLS)
    answer = await reader.read(1)
    if not answer:
        return Door.SILENT
    return Door.ANSWERED if answer in _POSTGRES_ANSWERS else Door.GARBLED
