"""Advice on copies that are not, or may not be, what their source is. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.standby_controller.policy.durations import count, duration
from services.standby_controller.policy.sights import Advisory, Situation
from services.standby_controller.severity import Severity

RECENT_SECONDS: Final = 30 * 86400.0
_DAY_SECONDS: Final = 86400.0


def about_copies(situation: Situation) -> Iterator[Advisory]:
    """Yield advice where a copy differs, or was not compared as a whole for long."""
    if not situation.is_standby:
        return
    limit = max(RECENT_SECONDS, 3 * situation.verification_days * _DAY_SECONDS)
    for component in situation.components:
        if component.data_age_seconds is None:
            continue
        if component.difference_count:
            tables = count(component.difference_count, "table or sequence", "tables and sequences")
            yield Advisory(
                "copy_differs",
                Severity.CRITICAL,
                component.name,
                f"In the copy of component {component.name}, {tables} differ from the active node.",
                "GET /v1/verifications shows rows and keys; POST /v1/verifications/{id}/repair brings them again.",
                {"differences": component.difference_count},
            )
        ago = component.compared_ago_seconds
        if ago is not None and ago > limit:
            yield Advisory(
                "verification_old",
                Severity.INFO,
                component.name,
                f"The copy of component {component.name} was not compared as a whole for {duration(ago)}.",
                "Compare it at a quiet hour with POST /v1/verifications, or set verification.full_every_days.",
                {"compared_ago_seconds": round(ago, 1)},
            )
