"""What a change of roles consists of, act by act: plain tables for those who perform it and those who plan it.

The record names the act that is being done; after a crash that act is done again, so each can be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from shared.node.model import AttemptKind


class Act(StrEnum):
    """One act of a promotion or a demotion."""

    STOP_APPLY = "stop_apply"
    PRE_PROMOTE = "pre_promote"
    FENCE_PEER = "fence_peer"
    AWAIT_HANDOVER = "await_handover"
    LOOK_AROUND = "look_around"
    TAKE_TERM = "take_term"
    PREPARE_CAPTURE = "prepare_capture"
    OPEN = "open"
    SERVE = "serve"
    STOP_APPLICATION = "stop_application"
    CLOSE = "close"
    END_SESSIONS = "end_sessions"
    PROVE = "prove"
    CLOSED = "closed"


SENTENCES: Final[Mapping[Act, str]] = MappingProxyType(
    {
        Act.STOP_APPLY: "stop applying syncs: the role that applies loses its login and its sessions",
        Act.PRE_PROMOTE: "run the hook pre_promote, which may veto",
        Act.FENCE_PEER: "run the hook fence_peer, which switches the other server off",
        Act.AWAIT_HANDOVER: "wait until the active node is closed (in a switchover: and its last changes are here)",
        Act.LOOK_AROUND: "look once more whether a peer serves in this term",
        Act.TAKE_TERM: "take the term: the point of no return",
        Act.PREPARE_CAPTURE: "note where both copies were equal, so that the other node can return by a delta",
        Act.OPEN: "open the databases to the application",
        Act.SERVE: "answer the probes as active, then run start_application and post_promote",
        Act.STOP_APPLICATION: "run the hook stop_application",
        Act.CLOSE: "close the databases to the application",
        Act.END_SESSIONS: "end every session that is open in them",
        Act.PROVE: "prove by a new connection that nobody can write any more",
        Act.CLOSED: "wait for the outcome, closed",
    }
)

_TAKE_OVER: Final = (
    Act.STOP_APPLY,
    Act.PRE_PROMOTE,
    Act.FENCE_PEER,
    Act.LOOK_AROUND,
    Act.TAKE_TERM,
    Act.PREPARE_CAPTURE,
    Act.OPEN,
    Act.SERVE,
)

_AFTER_ANOTHER: Final = (
    Act.PRE_PROMOTE,
    Act.AWAIT_HANDOVER,
    Act.STOP_APPLY,
    Act.TAKE_TERM,
    Act.PREPARE_CAPTURE,
    Act.OPEN,
    Act.SERVE,
)

PROMOTION: Final[Mapping[AttemptKind, tuple[Act, ...]]] = MappingProxyType(
    {
        AttemptKind.FAILOVER: _TAKE_OVER,
        AttemptKind.FORCE: _TAKE_OVER,
        AttemptKind.TAKEOVER: _AFTER_ANOTHER,
        AttemptKind.SWITCHOVER: _AFTER_ANOTHER,
    }
)
DEMOTION: Final = (Act.STOP_APPLICATION, Act.CLOSE, Act.END_SESSIONS, Act.PROVE, Act.CLOSED)


def act_after(acts: tuple[Act, ...], act: Act) -> Act | None:
    """Return the act that follows; None after the last."""
    place = acts.index(act) + 1
    return acts[place] if place < len(acts) else None


def is_past_return(kind: AttemptKind, act: Act) -> bool:
    """Say whether the term is taken when this act is being done, so that there is only the way forward."""
    acts = PROMOTION[kind]
    return acts.index(act) > acts.index(Act.TAKE_TERM)
