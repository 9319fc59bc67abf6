"""Facts about the machine that the agent runs on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_CONTAINER_MEMORY: Final = Path("/sys/fs/cgroup/memory.max")


def kernel_boot_id() -> str | None:
    """Return the kernel's id of this boot, None where it tells none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip() or None
    except OSError:
        return None


def count_cpus() -> int | None:
    """Return how many CPUs this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except (OSError, AttributeError):
        return os.cpu_count()


def memory_bytes() -> int | None:
    """Return how much memory there is: the machine's, or less where a container may have only that."""
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None
    try:
        limit = _CONTAINER_MEMORY.read_text(encoding="ascii").strip()
    except OSError:
        return found
    return min(found, int(limit)) if limit.isdigit() else found
