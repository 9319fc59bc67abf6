"""The capture of a node that does not serve: what it held while it served is kept, what it will need is made ahead.

A copy's own capture collects nothing: its slot is moved up again and again, so that a promotion finds it ready and
short (making a slot waits for every open transaction of the cluster). What a node captured while it served stays until
the node is a copy again: the two nodes find in it what they share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from services.primary_agent.capture.component import ComponentCapture
from services.primary_agent.capture.drain import CaptureLost
from services.primary_agent.capture.lsn import distance
from services.primary_agent.capture.spool import Capture
from shared.errors import DatabaseMissing, WarmstandbyError
from shared.node.model import CaptureState
from shared.postgres.application import read_standing, set_application_guard, set_node_guard
from shared.postgres.sessions import Session

_IDLE_BYTES: Final = 2**20
"""A slot is moved up by so much at least: noting it is log too, which would go on for ever."""
_KEPT_BYTES: Final = 16 * 2**20
"""From this much kept log on, the server is asked to let the slot's start move up."""


async def look_after(capture: ComponentCapture, is_off_duty: Callable[[], bool], *, is_standby: bool) -> None:
    """Do one round for a node that does not serve; only a standby makes a new capture, where its database is a copy."""
    try:
        held = await _look_after(capture, is_off_duty, is_standby=is_standby)
        if held is not None:
            await _drain(capture, held)
    except DatabaseMissing:
        capture.facts.is_copy = False
        capture.rest()
    except WarmstandbyError as error:
        capture.report(error)


async def _look_after(
    capture: ComponentCapture, is_off_duty: Callable[[], bool], *, is_standby: bool
) -> Capture | None:
    """Make or move up what is ahead; return the capture of a former active node, which is to be drained."""
    capture.facts.state = CaptureState.OFF
    async with capture.lock, capture.source.session() as application, capture.spool.session() as node:
        found = await capture.spool.find_capture(node)
        is_copy = capture.facts.is_copy = await read_standing(application, capture.component.name) is not None
        if (is_copy or found is not None) and is_off_duty():  # a capture that was made late may have closed it
            await set_application_guard(application, True)
            await set_node_guard(node, True)
        if found is None and not (is_copy and is_standby):
            capture.rest()
            return None
        server = await capture.source.check_server(application)
        whole, is_new = await capture.find_whole(application, node, server), False
        if is_copy and is_standby and (whole is None or not whole.is_ahead):
            await capture.source.ensure_publication(application)
            whole = await capture.begin(application, node, server, is_ahead=True)
            is_new = True
        if whole is None:
            capture.rest()
            return None
        if not whole.is_ahead:
            capture.facts.is_ahead = False
            return whole
        if not is_new and is_off_duty():  # making a slot may take long: the node may serve by now
            await _move_up(capture, application, node, whole)
        capture.facts.capture_id, capture.facts.is_ahead, capture.facts.problem = whole.capture_id, True, None
        return None


async def _move_up(capture: ComponentCapture, application: Session, node: Session, ahead: Capture) -> None:
    """Forget the log that only brought the copy here; noted first, as the slot may lag behind the note but not lead."""
    flushed = await capture.source.read_flush_lsn(application)
    if distance(flushed, ahead.drained_lsn) > _IDLE_BYTES:
        await capture.spool.set_drained(node, ahead, flushed)
        await capture.source.advance(application, flushed)
    slot = await capture.source.find_slot(application)
    if slot is None or (slot.kept_bytes or 0) <= _KEPT_BYTES:
        return
    if await capture.source.may_log_snapshot(application):
        await capture.source.log_snapshot(application)


async def _drain(capture: ComponentCapture, held: Capture) -> None:
    """Keep the log of a former active node short: what it holds is stored, nothing is trimmed."""
    try:
        if not capture.drainer.layouts:
            async with capture.source.session() as application:
                await capture.look(application)
        await capture.drainer.drain()
        await capture.keep_small(held, may_trim=False)
    except CaptureLost as error:
        async with capture.lock:
            await capture.lose(error)
    else:
        capture.facts.problem = None
