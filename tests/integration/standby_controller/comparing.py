"""Comparisons as a test says they come out: three tables, of which some of one component differ until repaired."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.standby_controller.verify.model import Comparison, Difference, DifferenceKind, Wish


@dataclass
class ScriptedComparison:
    """Compares nothing, and says it did; `wishes` are what was asked for, by component."""

    differing: set[str] = field(default_factory=set)
    """Tables of the component shop."""
    wishes: list[tuple[str, Wish]] = field(default_factory=list)

    def compare(self, component: str, wish: Wish) -> Comparison:
        """Find what a test says, table after table where there is little time."""
        self.wishes.append((component, wish))
        tables = ["public.item", "public.log", "public.place"]
        wished = [name for name in tables if (wish.tables is None or name in wish.tables) and name > (wish.after or "")]
        compared = wished[: 1 if wish.budget_seconds is not None else None]
        found = tuple(
            Difference(
                DifferenceKind.ROWS, name, "1 changed; keys 7 to 7", 3, 3, 0, 0, 1, "7", "7",
                is_repaired=wish.is_repairing,
            )
            for name in compared
            if component == "shop" and name in self.differing
        )  # fmt: skip
        if wish.is_repairing and component == "shop":
            self.differing -= set(compared)
        return Comparison(
            component,
            wish.level,
            compared=tuple(compared),
            rows=3 * len(compared),
            differences=found,
            snapshot_at=datetime.now(UTC),
            seconds=0.01,
            has_begun_anew=wish.tables is None and wish.after is None,
            next_after=compared[-1] if len(compared) < len(wished) else None,
        )
