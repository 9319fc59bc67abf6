"""What one component's sync comes to: the value that apply hands to the sync run. No behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from services.standby_controller.rescue.manifest import RescueManifest
from services.standby_controller.verify.model import Comparison
from shared.node.model import UnkeptTable
from shared.replication.model import SyncKind, SyncPoint


@dataclass(frozen=True, slots=True)
class ComponentOutcome:
    """One component brought to the active node's state; its data and cursor are committed."""

    component: str
    kind: SyncKind
    reason: str | None
    """Why it was a seed, or from where a node came back, in words; None for an ordinary delta."""
    point: SyncPoint
    """Where the copy stands now."""
    rows: int
    """Rows written: inserted, changed or deleted."""
    keys: int
    """Changed keys that came with a delta."""
    bytes: int
    """Bytes received."""
    snapshot_at: datetime
    """The active node's wall clock when the export's snapshot was taken."""
    rows_per_table: dict[str, int] = field(default_factory=dict)
    seconds_per_phase: dict[str, float] = field(default_factory=dict)
    unkept: tuple[UnkeptTable, ...] = ()
    definitions: tuple[str, ...] = ()
    """What of the definitions changed with it, in words."""
    snapshot_monotonic: float | None = None
    """When the export was asked for, by this process: its snapshot is no older."""
    rescue: RescueManifest | None = None
    """What only this node had, and where it was saved."""
    comparison: Comparison | None = None
    """What was found when copy and source were compared after it."""
