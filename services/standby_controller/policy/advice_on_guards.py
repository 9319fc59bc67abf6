"""What an administrator should know of syncs that a guard stopped, and of standbys that anybody may write to. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from services.standby_controller.policy.sights import Advisory, Situation
from services.standby_controller.severity import Severity
from shared.node.model import State


def about_guards(situation: Situation) -> Iterator[Advisory]:
    """Yield advice while the last sync was stopped and the copy grows old, or a standby is open to applications."""
    for node in (situation.own, *situation.peers):
        if node.state is State.STANDBY and node.is_closed is False:
            yield Advisory(
                "standby_open",
                Severity.CRITICAL,
                node.node_id,
                f"Applications can write into the databases of node {node.node_id}, which only follows.",
                "Its agent closes them again by itself; where it cannot, `fence` in GET /v1/status says why "
                "(README.md, section Fencing).",
            )
    if situation.sync_refusal is None:
        return
    yield Advisory(
        "sync_refused",
        Severity.CRITICAL,
        None,
        f"A guard stopped the last sync, and the copy grows old: {situation.sync_refusal}.",
        situation.sync_refusal_hint or "Look at GET /v1/syncs for what to do about it.",
        {"code": situation.sync_refusal_code},
    )
