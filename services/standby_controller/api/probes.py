"""The probes of the controller, answered from what this node's own agent says."""

from __future__ import annotations

from typing import Final

from fastapi import Request

from services.standby_controller.api.parts import Parts, parts_of
from shared.errors import DatabaseUnreachable, PeerUnreachable, WarmstandbyError
from shared.http.probes import probes_router
from shared.node.model import State

FRESH_SECONDS: Final = 3.0
"""What the own agent said longer ago (three looks) is unknown, and unknown is not healthy."""


def _state(request: Request) -> State | None:
    return _own_state(parts_of(request))


def _own_state(parts: Parts) -> State | None:
    silent = parts.monitor.own.silent_seconds(parts.clock.monotonic())
    return parts.monitor.own.state if silent is not None and silent <= FRESH_SECONDS else None


def _problems(request: Request) -> tuple[WarmstandbyError, ...]:
    parts, found = parts_of(request), list[WarmstandbyError]()
    if not parts.database.is_prepared:
        found.append(DatabaseUnreachable("the control database was not prepared yet"))
    if _own_state(parts) is None:
        found.append(PeerUnreachable("this node's own agent does not answer"))
    return tuple(found)


router: Final = probes_router(_state, _problems)
