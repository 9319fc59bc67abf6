"""Closes the own node where its agent is dead, so that a peer may take over; a living agent does that itself.

The folder of the record is held meanwhile: an agent that starts waits. The record says first what is to come, so an
agent that starts after a death on the way goes on with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from services.standby_controller.roles.agents import Agent
from shared.clock import Clock
from shared.errors import AgentRuns, ConfigurationError, PeerError, PeerUnreachable, TransitionRefused, WarmstandbyError
from shared.fencing.closing import Closable, do_closing_act
from shared.fencing.model import FenceProof
from shared.log import fields_of
from shared.node.closing import advance_closing, begin_closing
from shared.node.controller_model import CloseNode
from shared.node.journal import Journal
from shared.node.model import State, Term
from shared.node.record import Holder, Record, RecordFile, RecordUnreadable
from shared.node.steps import DEMOTION, Act
from shared.settings import Settings

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_LEFT_TO_AGENT: Final = "left to the agent: it runs the hook when it is back"


class OwnFence(Closable, Protocol):
    """The fence of this node."""

    @property
    def strength(self) -> str:
        """How the databases are closed."""


@dataclass(frozen=True, slots=True)
class Proved:
    """What proves that the node is closed, and the term that it owns."""

    term: Term | None
    strength: str
    text: str


class Closing:
    """Closes the own node, one caller at a time."""

    def __init__(
        self,
        settings: Settings,
        own: Agent,
        peer: Callable[[str], Agent],
        new_fence: Callable[[], OwnFence],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._own = own
        self._peer = peer
        self._new_fence = new_fence
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._told: str | None = None

    async def close(self, asked: CloseNode, caller: str) -> Proved:
        """Close the node for a standby of its term and return what proves it. Repeatable.

        Raises AgentRuns while the agent is, or may be, alive, TransitionRefused, StaleTerm, FenceIncomplete,
        RecordUnwritable, PostgresError, and PeerError where the caller cannot be asked back.
        """
        async with self._one_at_a_time:
            await self._check_agent_is_silent()
            view = await self._peer(caller).node()
            node = self._settings.node
            file = RecordFile(node.state_dir, pair_id=node.pair_id, node_id=node.id, holder=Holder.CONTROLLER)
            files = ThreadPoolExecutor(max_workers=1)  # in order: the folder is given back after the last write
            try:
                record = await _in(files, lambda: _load(file))
                closing = begin_closing(record, asked.attempt_id, asked.expected_epoch, view)
                journal = Journal(node.state_dir, self._clock)
                await journal.open()
                if closing != record:
                    closing = await _save(files, file, closing)
                    detail = f"asked by {caller} through the controller, because the agent is dead"
                    await journal.write(asked.attempt_id, "fence", "asked", "done", detail=detail)
                fence = self._new_fence()
                text = await self._go_on(closing, fence, files, file, journal)
                return Proved(closing.term, fence.strength, text)
            finally:
                given_back = files.submit(file.close)
                files.shutdown(wait=False)
                await asyncio.shield(asyncio.wrap_future(given_back))

    async def _check_agent_is_silent(self) -> None:
        try:
            await self._own.node()
        except PeerUnreachable:
            return
        except PeerError as error:
            raise AgentRuns(f"the agent may be alive: {error.detail}") from error
        raise AgentRuns("the agent of this node answers")

    async def _go_on(
        self, record: Record, fence: OwnFence, files: ThreadPoolExecutor, file: RecordFile, journal: Journal
    ) -> str:
        """Do the acts of the record's demotion; a node that is fenced already is closed and proved once more."""
        text = ""
        if record.state is State.FENCED:
            for act in DEMOTION:
                text = await self._do(fence, act) or text
        while (demotion := record.demotion) is not None:
            act, begun = Act(demotion.step), self._clock.monotonic()
            if self._told != demotion.id:
                await journal.write(demotion.id, demotion.kind, act, "begun")
            try:
                text = await self._do(fence, act) or text
            except WarmstandbyError as error:
                await self._tell_failure(journal, demotion.id, act, error)
                raise
            record = await _save(files, file, advance_closing(record, demotion.id, act))
            detail = _LEFT_TO_AGENT if act is Act.STOP_APPLICATION else ""
            took = self._clock.monotonic() - begun
            await journal.write(demotion.id, demotion.kind, act, "done", seconds=took, detail=detail)
        return text or "the server is down, and starts closed"

    async def _do(self, fence: OwnFence, act: Act) -> str:
        seconds = self._settings.fencing.deadline_seconds
        proof = await do_closing_act(fence, act, deadline_seconds=seconds, is_for_good=True)
        return proof.text if isinstance(proof, FenceProof) else ""

    async def _tell_failure(self, journal: Journal, demotion_id: str, act: Act, error: WarmstandbyError) -> None:
        """Write it down once; it is tried again for as long as the peer asks."""
        log.error("act of a demotion failed", extra={"act": act.value, **fields_of(error)})
        if self._told != demotion_id:
            self._told = demotion_id
            await journal.write(demotion_id, "fence", act, "failed", detail=error.detail, data={"code": error.code})


def _load(file: RecordFile) -> Record:
    """Take the folder and return the record; raises AgentRuns, TransitionRefused."""
    try:
        record = file.load()
    except ConfigurationError as error:
        raise AgentRuns(f"the agent does not answer, and may be alive: {error.detail}") from error
    except RecordUnreadable as error:
        raise TransitionRefused(f"the record of this node cannot be read: {error}") from error
    if record is None:
        raise TransitionRefused("this node has no record")
    return record


async def _save(files: ThreadPoolExecutor, file: RecordFile, record: Record) -> Record:
    """Make a changed record durable and return it; raises RecordUnwritable, and then the old one still counts."""
    numbered = record.model_copy(update={"serial": record.serial + 1})
    await _in(files, lambda: file.save(numbered))
    return numbered


async def _in(files: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(files, work)
