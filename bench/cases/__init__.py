"""All comparisons, in the order in which they are made."""

from __future__ import annotations

from typing import Any

from bench.cases import idle, memory, promotion, replication, throughput
from bench.model import Group, Sizes


def groups_of(sizes: Sizes) -> tuple[Group[Any], ...]:
    """Return the groups of comparisons, each of which has a stage of its own."""
    return tuple(
        group for part in (replication, throughput, idle, promotion, memory) for group in part.groups_of(sizes)
    )
