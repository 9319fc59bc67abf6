"""The base point of a promotion: the moment at which the copy stood, under its own name and the source's.

It is recorded while nobody writes (apply is stopped, the databases are closed), so that a node that comes back later
can be told from its changes since and from ours.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.primary_agent.capture.component import ComponentCapture
from services.primary_agent.capture.look import read_states, take_look
from services.primary_agent.capture.points import find_base, record_base
from services.primary_agent.capture.spool import Capture
from shared.clock import Clock
from shared.errors import DatabaseMissing, WarmstandbyError
from shared.postgres.application import forget_cursor, install_application_schema, read_standing
from shared.postgres.sequences import move_sequences_on
from shared.postgres.sessions import Session
from shared.replication.model import SyncPoint

BASE_SECONDS: Final = 2.0
_log = logging.getLogger(__name__)


class BaseKind(StrEnum):
    """What came of recording a base point."""

    RECORDED = "recorded"
    NOT_NEEDED = "not_needed"
    LOST = "base_lost"


@dataclass(frozen=True, slots=True)
class BaseResult:
    """What came of one component's base point; without one, a node that comes back is seeded."""

    component: str
    kind: BaseKind
    reason: str | None = None
    point: SyncPoint | None = None
    was_known: bool = False
    """It was recorded before, by an attempt that broke off."""


async def begin_term(
    capture: ComponentCapture, epoch: int, clock: Clock, *, sequence_headroom: int, limit_seconds: float
) -> BaseResult:
    """Record the base point of a promotion and move its sequences on; never raises, never takes longer.

    For a promotion between its point of no return and the opening of the databases; never after that. Idempotent for an
    epoch, but that sequences may move on twice where it broke off.
    """
    name, begun = capture.component.name, clock.monotonic()
    result = await _try_begin(capture, epoch, clock, limit_seconds)
    level = logging.WARNING if result.kind is BaseKind.LOST else logging.INFO
    _log.log(level, "base point", extra={"component": name, "result": result.kind.value, "reason": result.reason})
    if sequence_headroom and not result.was_known:
        try:
            async with asyncio.timeout(limit_seconds - (clock.monotonic() - begun)):
                async with capture.source.session() as application:
                    await move_sequences_on(application, sequence_headroom)
        except (WarmstandbyError, TimeoutError) as error:
            _log.warning("sequences not moved on", extra={"component": name, "detail": str(error)})
    return result


async def _try_begin(capture: ComponentCapture, epoch: int, clock: Clock, limit_seconds: float) -> BaseResult:
    """Return what came of the base point, whatever comes."""
    name = capture.component.name
    try:
        async with asyncio.timeout(limit_seconds):
            return await _begin_term(capture, epoch, clock)
    except TimeoutError:
        problem = capture.facts.problem
        reason = f"it took longer than {limit_seconds:g} s" + (f": {problem.text}" if problem else "")
        return BaseResult(name, BaseKind.LOST, reason)
    except DatabaseMissing:
        return BaseResult(name, BaseKind.NOT_NEEDED, "the database is not there")
    except WarmstandbyError as error:
        return BaseResult(name, BaseKind.LOST, error.detail)
    except Exception as error:
        _log.exception("base point hit a bug", extra={"component": name})
        return BaseResult(name, BaseKind.LOST, f"{type(error).__name__}: {error}")


async def _begin_term(capture: ComponentCapture, epoch: int, clock: Clock) -> BaseResult:
    name = capture.component.name
    async with (
        capture.lock,
        capture.source.session() as application,
        capture.source.session() as leader,
        capture.spool.session() as node,
    ):
        known = await capture.spool.find_capture(node)
        point = None if known is None else await find_base(node, known, epoch)
        if point is not None:
            return BaseResult(name, BaseKind.RECORDED, point=point, was_known=True)
        standing = await read_standing(application, name)
        if standing is None:
            return BaseResult(name, BaseKind.NOT_NEEDED, "the database is no copy: the moments it shares are its own")
        own = await _ensure_ahead(capture, application, node)
        look = await take_look(capture, leader, node, clock)
        lsn = await capture.source.take_barrier(application)
        states = await read_states(leader, look)
        async with node.transaction():
            point = await capture.spool.add_point(node, own, snapshot=look.snapshot, lsn=lsn, states=states)
            await record_base(node, own, epoch, point, standing)
            await capture.spool.set_served(node, own)
        await forget_cursor(application, name)
        return BaseResult(name, BaseKind.RECORDED, point=point)


async def _ensure_ahead(capture: ComponentCapture, application: Session, node: Session) -> Capture:
    """Return the capture that was made ahead; where there is none it is made now, if no transaction is open."""
    server = await capture.source.check_server(application)
    await install_application_schema(application)
    is_new = await capture.source.ensure_publication(application)
    ahead = await capture.find_whole(application, node, server)
    if ahead is None or not ahead.is_ahead or is_new:
        ahead = await capture.begin(application, node, server, is_ahead=True)
    return ahead
