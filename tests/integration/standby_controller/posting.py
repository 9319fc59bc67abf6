"""What administrators ask a controller with channels, and events that they want to hear of."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent
from tests.integration.standby_controller.stage import Stage, eventually, open_stage

SECRET = "whsec_" + base64.b64encode(os.urandom(32)).decode()
ONE, TWO, THREE = "one@ops.example", "two@ops.example", "three@ops.example"


def lost(subject: str = "a", **more: Any) -> NewEvent:
    """Return an event that everybody wants to hear of."""
    text = f"Node {subject} does not answer"
    return NewEvent(datetime.now(UTC), EventKind.PEER_LOST, Severity.CRITICAL, subject, text, **more)


def back(subject: str = "a") -> NewEvent:
    """Return the event that ends it."""
    return NewEvent(datetime.now(UTC), EventKind.PEER_BACK, Severity.INFO, subject, f"Node {subject} answers again")


def mail(port: int, **more: Any) -> dict[str, Any]:
    """Return the settings of a mail channel."""
    values = {"kind": "mail", "host": "localhost", "port": port, "security": "none", "sender": "wst@b.example"}
    return {**values, "recipients": [ONE, TWO, THREE], "timeout_seconds": 5, **more}


def hook_to(port: int, **more: Any) -> dict[str, Any]:
    """Return the settings of a webhook."""
    return {"kind": "webhook", "url": f"http://127.0.0.1:{port}/secret-path", "timeout_seconds": 5, **more}


class Post:
    """What administrators ask a controller with channels."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def change(self, notifications: Mapping[str, Any], expect: int = 200) -> Any:
        """Change the settings of notifications; the daily digest is not told besides, whatever the hour."""
        etag = (await self.stage.http.get("/v1/config", headers=self.stage.auth())).headers["ETag"]
        answer = await self.stage.http.patch(
            "/v1/config",
            headers={**self.stage.auth(), "If-Match": etag, "Content-Type": "application/merge-patch+json"},
            content=json.dumps({"notifications": {"digest": False, **notifications}}),
        )
        assert answer.status_code == expect, answer.text
        return answer.json()

    async def tell(self, *events: NewEvent) -> None:
        """Let something happen."""
        for event in events:
            await self.stage.parts.events.add(event)

    async def items(self, query: str = "") -> list[dict[str, Any]]:
        """Return notifications, the oldest first."""
        items = (await self.stage.get(f"/v1/notifications?limit=200{query}"))["items"]
        return list(reversed(items))

    async def are(self, *states: str, query: str = "", within_seconds: float = 15.0) -> list[dict[str, Any]]:
        """Wait until the notifications are in these states, in this order."""
        found: list[dict[str, Any]] = []

        async def is_so() -> bool:
            found[:] = await self.items(query)
            return [one["state"] for one in found] == list(states)

        try:
            await eventually(is_so, within_seconds=within_seconds)
        except TimeoutError:
            raise AssertionError([(one["state"], one["kind"], one["problem"]) for one in found]) from None
        return found

    async def channel(self, name: str) -> dict[str, Any]:
        """Return how a channel does."""
        items = (await self.stage.get("/v1/notifications/channels"))["items"]
        return next(one for one in items if one["name"] == name)

    async def hurry(self) -> None:
        """Let what waits be tried again now."""
        await self.stage.parts.database.execute(
            "UPDATE control.outbox SET next_attempt_at = now() WHERE state IN ('waiting', 'held')"
        )


@asynccontextmanager
async def post(dsn: str, folder: Path, channels: Mapping[str, Any], ca_file: Path | None = None) -> AsyncIterator[Post]:
    """Run a controller with these channels."""
    async with open_stage(dsn, folder, ca_file=ca_file) as stage:
        opened = Post(stage)
        await opened.change({"channels": channels})
        yield opened
