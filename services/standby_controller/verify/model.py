"""What a verification is asked for and what it finds, as values. No behaviour beyond sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.replication.model import SyncPoint
from shared.replication.verification import Level


class DifferenceKind(StrEnum):
    """What of a copy is not as in its source."""

    ROWS = "rows"
    SEQUENCE = "sequence"
    DEFINITION = "definition"
    STRANGE = "strange"
    FILE = "file"
    """`name` is a path of a file set, percent-encoded."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One table or sequence that is not the same on both sides."""

    kind: DifferenceKind
    name: str
    """`schema.name`."""
    text: str
    """What differs, as a sentence."""
    rows_here: int | None = None
    rows_there: int | None = None
    missing: int | None = None
    """Rows of the source that the copy has not got; None where rows have no names."""
    extra: int | None = None
    changed: int | None = None
    first_key: str | None = None
    """The lowest key that differs, as text."""
    last_key: str | None = None
    is_expected: bool = False
    """The table is not kept current by deltas: that it is behind says nothing against the copy."""
    is_repaired: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be compared after a sync."""

    level: Level
    is_repairing: bool = False
    tables: frozenset[str] | None = None
    """Only these, by `schema.name`; None for all that the level means."""
    after: str | None = None
    """Go on after this table of a former comparison, in the order of names."""
    budget_seconds: float | None = None
    """No further table is begun after so long."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a sync is to compare when it has brought the components here."""

    level: Level
    is_repairing: bool = False
    components: frozenset[str] | None = None
    """Only these; None for all."""
    tables: Mapping[str, frozenset[str]] | None = None
    """Only these of each component; None for all that the level means."""
    after: Mapping[str, str] = field(default_factory=dict)
    """For each component, the table after which to go on."""
    budget_seconds: float | None = None

    def wish_for(self, component: str) -> Wish | None:
        """Return what is to be compared of a component."""
        if self.components is not None and component not in self.components:
            return None
        tables = None if self.tables is None else self.tables.get(component, frozenset())
        return Wish(self.level, self.is_repairing, tables, self.after.get(component), self.budget_seconds)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the comparison of one component came to."""

    component: str
    level: Level
    compared: tuple[str, ...] = ()
    """Tables that were compared."""
    rows: int = 0
    """Rows of the source in them."""
    differences: tuple[Difference, ...] = ()
    point: SyncPoint | None = None
    """Where both sides stood."""
    snapshot_at: datetime | None = None
    seconds: float = 0.0
    has_begun_anew: bool = False
    """All tables were meant, from the first one on."""
    next_after: str | None = None
    """The last table compared where the time ran out before all were."""
    problem_code: str | None = None
    """Why not all could be compared."""
    problem_text: str | None = None

    @property
    def has_found(self) -> bool:
        """Say whether something differed that should be the same, repaired or not."""
        return any(not one.is_expected for one in self.differences)

    @property
    def is_clean(self) -> bool:
        """Say whether nothing differed that should be the same."""
        return all(one.is_expected or one.is_repaired for one in self.differences)
