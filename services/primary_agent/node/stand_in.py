"""Stands in for the fence until it is there."""

from __future__ import annotations


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
