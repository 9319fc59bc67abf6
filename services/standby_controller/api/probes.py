"""The probes of the controller, answered from what this node's own agent says."""

from __future__ import annotations

from typing import Final

from fastapi import Request

from services.standby_controller.api.parts import parts_of
from shared.errors import DatabaseUnreachable, PeerUnreachable, WarmstandbyError
from shared.http.probes import probes_router
from shared.node.model import State
from shared.node.probes import ProbeTexts, RoleFacts

FRESH_SECONDS: Final = 3.0
"""What the own agent said longer ago (three looks) is unknown, and unknown is not healthy."""


def _facts(request: Request) -> RoleFacts:
    parts = parts_of(request)
    now, own = parts.clock.monotonic(), parts.monitor.own
    silent, heard = own.silent_seconds(now), own.present
    if silent is None or heard is None or silent > FRESH_SECONDS:
        return RoleFacts(None)
    promoted = heard.promoted_seconds
    is_eligible = heard.state is State.STANDBY and heard.eligible.get(own.node_id, False)
    return RoleFacts(
        heard.state,
        may_promote=is_eligible and not parts.gatekeeper.judge().refusals_automatic,
        promoted_seconds=None if promoted is None else promoted + silent,
    )


def _texts(request: Request) -> ProbeTexts:
    probes = parts_of(request).settings.probes
    return ProbeTexts(probes.text, probes.legacy_standby_after_takeover_seconds)


def _problems(request: Request) -> tuple[WarmstandbyError, ...]:
    parts, found = parts_of(request), list[WarmstandbyError]()
    if not parts.database.is_prepared:
        found.append(DatabaseUnreachable("the control database was not prepared yet"))
    if _facts(request).state is None:
        found.append(PeerUnreachable("this node's own agent does not answer"))
    return tuple(found)


router: Final = probes_router(_facts, _problems, _texts)
