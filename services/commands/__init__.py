"""Commands for administrators on a node: each module adds one or some to `warmstandby`. The services are not here."""

from __future__ import annotations

from typing import Final

COMMANDS: Final = (
    "token",
    "status",
    "sync",
    "verify",
    "config",
    "roles",
    "explain",
    "force_active",
    "may_serve",
    "close",
    "uninstall",
)
"""Modules of this package; each has `add_command(commands)`."""
