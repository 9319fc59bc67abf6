"""Commands for administrators on a node: each module adds one or some to `warmstandby`. The services are not here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

COMMANDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "token": "token",
        "status": "status",
        "sync": "sync",
        "verify": "verify",
        "config": "config",
        "switchover": "roles",
        "failover": "roles",
        "resync": "roles",
        "explain": "explain",
        "force-active": "force_active",
        "may-serve": "may_serve",
        "close": "close",
        "uninstall": "uninstall",
    }
)
"""Names of commands, with the modules of this package that have them; each has `add_command(commands)`."""
