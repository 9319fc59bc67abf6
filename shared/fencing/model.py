"""What fencing tells: its strength, who is inside a database, and the proof that nobody is. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class FenceStrength(StrEnum):
    """What keeps applications out."""

    HBA = "hba"
    """pg_hba.conf rejects the databases by name: nobody but the roles it lets in, no superuser either."""
    LIMIT = "limit"
    """The right to connect is taken away: superusers pass, and the owner may lift it."""


@dataclass(frozen=True, slots=True)
class Inside:
    """A backend in a database, or (without one) still on its way in."""

    pid: int
    database: str | None
    role: str | None
    application: str
    kind: str
    is_superuser: bool
    started_at: datetime | None

    def __str__(self) -> str:
        """Return it for people."""
        if self.database is None:
            return f"pid {self.pid} (a connection that is still being made)"
        application = f", {self.application}" if self.application else ""
        return f"pid {self.pid} of {self.role or 'no role'} in {self.database} ({self.kind}{application})"


@dataclass(frozen=True, slots=True)
class PreparedTransaction:
    """A transaction prepared for two-phase commit that is neither committed nor rolled back."""

    gid: str
    database: str
    owner: str
    prepared_at: datetime

    def __str__(self) -> str:
        """Return it for people."""
        return f"prepared transaction {self.gid!r} of {self.owner} in {self.database}"


@dataclass(frozen=True, slots=True)
class FenceProof:
    """What was seen when nobody could get in and nobody was inside."""

    strength: FenceStrength
    is_probed: bool
    """Whether a new connection was tried and refused; without a probe role the catalog alone is the proof."""
    text: str
    able_to_pass: tuple[str, ...]
    """Roles that could still connect by their rank: with strength limit, superusers who may log in."""
    seconds: float
