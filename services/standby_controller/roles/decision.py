"""What a decision to change roles was made from, as the history keeps it: failure, looks, gate, loss. Pure."""

from __future__ import annotations

from typing import Any

from services.standby_controller.policy.detector import Diagnosis, Look
from services.standby_controller.policy.gate import Check, Verdict


def describe_decision(
    diagnosis: Diagnosis, checks: tuple[Check, ...], data_age_seconds: float | None, now_monotonic: float
) -> dict[str, Any]:
    """Return what was weighed; instants are told as seconds before the decision."""
    return {
        "failure": diagnosis.kind.value,
        "looks": [_look(look, now_monotonic) for look in diagnosis.evidence],
        "since_seconds": None if diagnosis.since_seconds is None else round(now_monotonic - diagnosis.since_seconds, 3),
        "gate": [_check(check) for check in checks],
        "estimated_loss_seconds": None if data_age_seconds is None else round(data_age_seconds, 3),
    }


def _look(look: Look, now_monotonic: float) -> dict[str, Any]:
    return {
        "ago_seconds": round(now_monotonic - look.ended_seconds, 3),
        "agent": look.agent.value,
        "controller": look.controller.value,
        "database": look.database.value,
        "references": look.references.value,
        "detail": look.detail,
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "code": check.code,
        "text": check.text,
        "passed": check.automatic in (Verdict.PASSED, Verdict.WARNED),
        "automatic": check.automatic.value,
        "by_hand": check.by_hand.value,
    }
