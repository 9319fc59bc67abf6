"""The second part of the story: the active node is killed while clients write, and everything comes back.

What the lost node alone had is rescued, and it returns with only the changed rows; then the roles are swapped again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import asyncpg
import httpx

from lab.ledger import CREATE, TABLE, Client, follow_probe, writing
from lab.node import Node
from lab.pair import Pair
from lab.people import ApiError, Json, PeopleApi
from sample.story.stage import DATABASE, OWNER, in_thread

CLIENTS: Final = 2
CHANGED_ROWS: Final = 25
FAILOVER: Final[Json] = {"failover": {"recheck_seconds": 0.5, "failures": 3}}
LIMIT_SECONDS: Final = 90.0
_GO_ON_SECONDS: Final = 2.0


@dataclass(slots=True)
class Failure:
    """What was found, filled while it happens."""

    detection_seconds: float | None = None
    takeover_seconds: float | None = None
    epoch: int | None = None
    rescued_rows: int | None = None
    rows_shipped: int | None = None
    rows_in_database: int | None = None
    resync_kind: str | None = None
    write_gap_seconds: float | None = None
    lost_covered_rows: int | None = None
    acknowledged_rows: int = 0

    def as_json(self) -> Json:
        """Return it for programs."""
        return {
            "failover": {
                "detection_seconds": _rounded(self.detection_seconds),
                "takeover_seconds": _rounded(self.takeover_seconds),
                "epoch": self.epoch,
            },
            "rescued_rows": self.rescued_rows,
            "resync": {
                "kind": self.resync_kind,
                "rows_shipped": self.rows_shipped,
                "rows_in_database": self.rows_in_database,
            },
            "failback": {"write_gap_seconds": _rounded(self.write_gap_seconds)},
            "lost_covered_rows": self.lost_covered_rows,
            "acknowledged_rows": self.acknowledged_rows,
        }


@dataclass(slots=True)
class FailureStory:
    """Kills, waits, returns; `found` holds what was measured."""

    pair: Pair
    begin: Callable[[str], None]
    say: Callable[[str], None]
    found: Failure = field(default_factory=Failure)

    async def play(self) -> None:
        """Play to the end, when the primary is active again; raises ApiError, TimeoutError."""
        primary, secondary = self.pair.primary, self.pair.secondary
        clients = [Client(f"client {number}", follow_probe(self._places())) for number in range(CLIENTS)]
        async with AsyncExitStack() as stack:
            apis = [await stack.enter_async_context(node.open_api()) for node in (primary, secondary)]
            await stack.enter_async_context(writing(*clients))
            covered_until = await self._protect(secondary, apis[1])
            await self._lose(primary, secondary, apis[1])
            await asyncio.sleep(_GO_ON_SECONDS)
            await self._return(primary, apis[0])
            await self._fail_back(primary, apis[0])
        writes = [write for client in clients for write in client.accepted]
        self.found.acknowledged_rows = len(writes)
        present = await self._numbers(primary)
        covered = {(write.writer, write.number) for write in writes if write.ended <= covered_until}
        self.found.lost_covered_rows = len(covered - present)

    async def _protect(self, secondary: Node, api: PeopleApi) -> float:
        """Sync what clients write until the standby would take over; return until when writes are covered."""
        self.begin("Clients write; the standby gets ready to take over")
        async with asyncio.timeout(LIMIT_SECONDS):
            covered_until = time.monotonic()
            sync = await api.follow_sync((await api.start_sync(patience_seconds=20.0))["id"])
            if sync["result"] != "succeeded":
                raise ApiError(f"sync {sync['id']} {sync['result']}")
            await _until(api, lambda status: status["protected"])
        self.say("Protected: the secondary would take over now; clients write on through the probe /active")
        return covered_until

    async def _lose(self, primary: Node, secondary: Node, api: PeopleApi) -> None:
        """Change rows that no sync will see, then kill the active node's server and services."""
        await asyncio.sleep(_GO_ON_SECONDS)
        await self._change_rows(primary)
        self.begin("The active node is killed: its PostgreSQL and both services (kill -9)")
        died_at, died = datetime.now().astimezone(), time.monotonic()
        await in_thread(primary.die)
        async with asyncio.timeout(LIMIT_SECONDS):
            await wait_active(secondary.agent_url)
        taken_over = time.monotonic() - died
        status = await _until(api, lambda status: status["node"]["state"] == "active")
        change = status["role_change"]
        begun = (datetime.fromisoformat(change["started_at"]) - died_at).total_seconds()
        self.found.detection_seconds, self.found.takeover_seconds = begun, taken_over - begun
        self.found.epoch = status["node"]["term"]["epoch"]
        self.say(
            f"Failover: detected after {begun:.2f} s, taken over {taken_over - begun:.2f} s later, term "
            f"{self.found.epoch}; the clients go on"
        )

    async def _return(self, primary: Node, api: PeopleApi) -> None:
        """Start the lost node again: it is fenced; save what it alone has, and bring only what changed."""
        self.begin("The lost node is started again")
        await in_thread(lambda: primary.boot([DATABASE]))
        async with asyncio.timeout(LIMIT_SECONDS):
            status = await _until(api, lambda status: status["node"]["state"] == "fenced")
            self.say(f"It comes back fenced: {status['node']['reason']}")
            self.begin("What only the lost node has is saved, then it follows again")
            await api.change_roles("/v1/resync", {"reason": "the demo"})
            await _until(api, lambda status: status["node"]["state"] == "standby")
            sync = (await api.get("/v1/status"))["last_sync"]
            rescues = (await api.get("/v1/rescues"))["items"]
        self.found.rescued_rows = sum(rescue["rows"] for rescue in rescues)
        (component,) = sync["components"]
        self.found.resync_kind, self.found.rows_shipped = component["kind"], sync["keys"] or sync["rows"]
        self.say(
            f"Re-sync: {self.found.rows_shipped:,} changed rows travelled; "
            f"{self.found.rescued_rows:,} rows that only the lost node had are saved"
        )

    async def _fail_back(self, primary: Node, api: PeopleApi) -> None:
        """Swap the roles while clients write."""
        self.begin("Failback: the roles are swapped while clients write")
        async with asyncio.timeout(LIMIT_SECONDS):
            sync = await api.follow_sync((await api.start_sync(patience_seconds=20.0))["id"])
            if sync["result"] != "succeeded":
                raise ApiError(f"sync {sync['id']} {sync['result']}")
            change = await api.change_roles("/v1/switchover", {"reason": "the demo"})
            await _until(api, lambda status: status["node"]["state"] == "active")
            other = self.pair.secondary
            async with other.open_api() as other_api:
                await _until(other_api, lambda status: status["node"]["state"] == "standby")
        self.found.write_gap_seconds = change["write_gap_seconds"]
        self.say(f"Failback: writes stopped for {change['write_gap_seconds']:.2f} s, nothing was lost")
        await asyncio.sleep(_GO_ON_SECONDS / 2)

    async def _change_rows(self, primary: Node) -> None:
        connection = await asyncpg.connect(primary.cluster.dsn(DATABASE, OWNER))
        try:
            change = f"UPDATE {TABLE} SET note = 'changed after the last sync' WHERE id <= $1"
            await connection.execute(change, CHANGED_ROWS)
        finally:
            await connection.close()

    async def _numbers(self, node: Node) -> set[tuple[str, int]]:
        connection = await asyncpg.connect(node.cluster.dsn(DATABASE))
        try:
            rows = await connection.fetch(f"SELECT writer, number FROM {TABLE}")
            return {(row["writer"], row["number"]) for row in rows}
        finally:
            await connection.close()

    def _places(self) -> dict[str, tuple[str, str]]:
        return {node.name: (node.agent_url, node.cluster.dsn(DATABASE, OWNER)) for node in self.pair.nodes}


async def create_ledger(dsn: str) -> None:
    """Make the table that the clients of this part write to."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(CREATE)
    finally:
        await connection.close()


async def wait_active(url: str) -> None:
    """Ask a probe until the node is active."""
    async with httpx.AsyncClient(base_url=url, timeout=1.0, trust_env=False) as http:
        while True:
            if (await http.get("/active")).status_code == 200:
                return
            await asyncio.sleep(0.02)


async def _until(api: PeopleApi, is_so: Callable[[Json], Any]) -> Json:
    """Look at the status until something is so, and return it; a controller that does not answer is asked on."""
    while True:
        try:
            status = await api.get("/v1/status")
        except ApiError:
            await asyncio.sleep(0.2)
            continue
        if is_so(status):
            return status
        await asyncio.sleep(0.1)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
