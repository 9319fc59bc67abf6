"""One thing that an administrator should know or do. A value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pydantic import JsonValue

from services.standby_controller.severity import Severity


@dataclass(frozen=True, slots=True)
class Advisory:
    """One thing to know, with what to do about it; `code` is stable, `evidence` are the figures behind it."""

    code: str
    severity: Severity
    subject: str | None
    text: str
    hint: str
    evidence: Mapping[str, JsonValue] = field(default_factory=lambda: MappingProxyType({}))
