"""Facts about the machine that the agent runs on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def kernel_boot_id() -> str | None:
    """Return the kernel's id of this boot, None where it tells none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip() or None
    except OSError:
        return None
