"""The live progress of a running sync: counted by apply, shown by the API. Nothing here awaits or stores anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.clock import Clock
from shared.replication.model import SyncKind, SyncPhase

SAMPLE_SECONDS: Final = 1.0
SMOOTHING: Final = 0.3


@dataclass(frozen=True, slots=True)
class ProgressView:
    """A running sync at one moment."""

    phase: SyncPhase
    component: str | None
    kind: SyncKind | None
    tables_done: int
    tables_total: int | None
    current_tables: tuple[str, ...]
    rows_done: int
    bytes_done: int
    bytes_total: int | None
    bytes_per_second: float | None
    seconds_in_phase: float
    eta_seconds: float | None


class Progress:
    """Counters of one sync run; one event loop writes and reads them, so they need no lock."""

    def __init__(self, clock: Clock) -> None:
        """Start in phase opening."""
        self._clock = clock
        self._component: str | None = None
        self._heard_at: float | None = None
        self._begin(None, None, None)
        self._reset_phases()

    @property
    def phase(self) -> SyncPhase:
        """Return where the sync is."""
        return self._phase

    @property
    def component(self) -> str | None:
        """Return the component at work."""
        return self._component

    @property
    def kind(self) -> SyncKind | None:
        """Return how the component is synced; None until `begin`."""
        return self._kind

    @property
    def heard_at(self) -> float | None:
        """Return when the source last sent anything (monotonic): a life sign."""
        return self._heard_at

    @property
    def rows_done(self) -> int:
        """Return the rows written for this component so far."""
        return max(self._rows_added, sum(self.rows_per_table.values()))

    @property
    def bytes_done(self) -> int:
        """Return the bytes received for this component so far."""
        return self._bytes_done

    def start_component(self, name: str) -> None:
        """Turn to the next component: all counters and phase times go back to zero."""
        self._component = name
        self._begin(None, None, None)
        self._reset_phases()

    def begin(self, kind: SyncKind, *, tables_total: int | None, bytes_total: int | None) -> None:
        """Note what an open export holds (bytes are an estimate); counters go back to zero, phase times stay."""
        self._heard_at = self._clock.monotonic()
        self._begin(kind, tables_total, bytes_total)

    def enter(self, phase: SyncPhase) -> None:
        """Go on to a phase; entering one twice adds its times."""
        now = self._clock.monotonic()
        self._close_phase(now)
        self._phase, self._phase_at = phase, now

    def add_bytes(self, count: int) -> None:
        """Count bytes as they arrive."""
        self._bytes_done += count
        self._heard_at = self._clock.monotonic()
        self._sample(self._heard_at)

    def add_rows(self, count: int) -> None:
        """Count rows as they arrive; `finish_table` never counts them twice."""
        self._rows_added += count

    def start_table(self, name: str) -> None:
        """Show a table as being worked on."""
        if name not in self._current_tables:
            self._current_tables.append(name)

    def finish_table(self, name: str, rows: int) -> None:
        """Note the rows written to a table (inserted, changed or deleted); again for the same table replaces them."""
        if name in self._current_tables:
            self._current_tables.remove(name)
        self.rows_per_table[name] = rows

    def seconds_per_phase(self) -> dict[str, float]:
        """Return how long each phase of this component took, the present one up to now."""
        self.enter(self._phase)
        return {phase.value: round(seconds, 6) for phase, seconds in self._phase_seconds.items()}

    def view(self, now_monotonic: float) -> ProgressView:
        """Return the counters at one moment, with the time left as the smoothed rate promises it."""
        bytes_total = None if self._bytes_total is None else max(self._bytes_total, self._bytes_done)
        rate = self._rate if self._phase is SyncPhase.COPYING else None
        eta = None
        if rate is not None and rate > 0 and bytes_total is not None:
            eta = max(0.0, (bytes_total - self._bytes_done) / rate)
        return ProgressView(
            phase=self._phase,
            component=self._component,
            kind=self._kind,
            tables_done=len(self.rows_per_table),
            tables_total=None if self._tables_total is None else max(self._tables_total, len(self.rows_per_table)),
            current_tables=tuple(self._current_tables),
            rows_done=self.rows_done,
            bytes_done=self._bytes_done,
            bytes_total=bytes_total,
            bytes_per_second=rate,
            seconds_in_phase=max(0.0, now_monotonic - self._phase_at),
            eta_seconds=eta,
        )

    def _begin(self, kind: SyncKind | None, tables_total: int | None, bytes_total: int | None) -> None:
        self._kind = kind
        self._tables_total = tables_total
        self._bytes_total = bytes_total
        self._bytes_done = 0
        self._rows_added = 0
        self._current_tables: list[str] = []
        self.rows_per_table: dict[str, int] = {}
        self._rate: float | None = None
        self._sampled_at = self._clock.monotonic()
        self._sampled_bytes = 0

    def _reset_phases(self) -> None:
        self._phase = SyncPhase.OPENING
        self._phase_at = self._clock.monotonic()
        self._phase_seconds: dict[SyncPhase, float] = {}

    def _close_phase(self, now: float) -> None:
        self._phase_seconds[self._phase] = self._phase_seconds.get(self._phase, 0.0) + now - self._phase_at

    def _sample(self, now: float) -> None:
        elapsed = now - self._sampled_at
        if elapsed < SAMPLE_SECONDS:
            return
        rate = (self._bytes_done - self._sampled_bytes) / elapsed
        self._rate = rate if self._rate is None else SMOOTHING * rate + (1 - SMOOTHING) * self._rate
        self._sampled_at, self._sampled_bytes = now, self._bytes_done
