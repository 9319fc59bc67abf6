"""The gate does not let a standby take over."""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors.base import Refusal
from shared.errors.roles import RoleError


class GateRefused(RoleError):
    """The gate does not let this node take over; the refusals say why."""

    code = "gate_refused"
    default_hint = (
        "Each refusal names the override that passes it by hand, if there is one. "
        "POST /v1/transitions/plan shows all checks without doing anything."
    )

    def __init__(self, refusals: Sequence[Refusal], *, hint: str | None = None) -> None:
        super().__init__(" ".join(refusal.text for refusal in refusals), hint=hint)
        self.refusals = tuple(refusals)
