"""A sync at work, as the run, the API and the roles see it, and what copies a component. Values and a protocol only."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from services.standby_controller.outcome import ComponentOutcome
from services.standby_controller.policy.guards import Guards
from services.standby_controller.progress import Progress
from services.standby_controller.source import Source
from services.standby_controller.store.records import ComponentRecord, Failure, SyncRecord
from services.standby_controller.verify.model import Order, Wish
from shared.node.model import Envelope
from shared.settings import AnyComponent


class CopyComponent(Protocol):
    """Brings one component to the state of the source; cancelling it leaves the old state or the new one."""

    async def __call__(
        self,
        component: AnyComponent,
        source: Source,
        envelope: Envelope,
        progress: Progress,
        guards: Guards,
        wish: Wish | None = None,
    ) -> ComponentOutcome:
        """Copy, then compare as wished; raises WarmstandbyError."""


@dataclass(slots=True)
class RunningSync:
    """A sync at work."""

    record: SyncRecord
    progress: Progress
    started_monotonic: float
    done: list[ComponentRecord] = field(default_factory=list)
    work: asyncio.Task[Failure | None] | None = None
    cancelled_by: str | None = None
    order: Order | None = None
    """What is compared then."""
    ended: asyncio.Future[SyncRecord] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
