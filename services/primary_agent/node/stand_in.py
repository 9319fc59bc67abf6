"""Stands in for fence, capture and hooks until they are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.primary_agent.node.record import HookName


class NoFence:
    """Closes nothing."""

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        """Do nothing."""
        self.closed = True

    async def end(self, deadline_seconds: float) -> None:
        """Do nothing."""

    async def prove(self) -> object:
        """Do nothing."""
        return None

    async def open(self) -> None:
        """Do nothing."""
        self.closed = False

    async def is_closed(self) -> bool:
        """Do nothing."""
        return self.closed

    async def stop_apply(self, deadline_seconds: float) -> None:
        """Do nothing."""

    async def resume_apply(self) -> None:
        """Do nothing."""


class NoCapture:
    """Notes nothing."""

    async def begin_term(self, epoch: int) -> Sequence[str]:
        """Do nothing."""
        return ()

    async def read_position(self) -> str | None:
        """Do nothing."""
        return None


class NoHooks:
    """Runs nothing."""

    async def run(self, name: HookName, environment: Mapping[str, str]) -> str | None:
        """Do nothing."""
        return None
