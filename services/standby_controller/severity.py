"""How much something matters: one scale for events and advisories."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """How much something matters to an administrator."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
