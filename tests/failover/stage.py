"""The stage of the failover tests: two hosts that die and boot, what people ask, and the judge of what was written."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from lab.cluster import Cluster
from lab.database import Database
from lab.ledger import CREATE, TABLE, Accepted, Client, follow_probe, stay_at, writing
from lab.node import Node
from lab.node_toml import Document
from lab.pair import Pair
from lab.people import ApiError, Json, SyncFailed, ask_once, change_config
from lab.roles import Rights, ensure_role

DATABASE: Final = "shop"
APPLICATION: Final = "shop_owner"
QUICK: Final[Document] = {
    "agent": {"heartbeat_seconds": 0.5, "boot_grace_seconds": 5.0},
    "controller": {"heartbeat_seconds": 0.5, "heartbeat_timeout_seconds": 0.5},
    "capture": {"interval_seconds": 0.5},
}
FAILOVER: Final[Json] = {"recheck_seconds": 0.25, "failures": 3, "cooldown_seconds": 0, "agent_down_seconds": 3}
PATIENCE_SECONDS: Final = 40.0


@dataclass(slots=True)
class Stage:
    """A pair under fire."""

    pair: Pair
    synced_at: float = 0.0
    clients: list[Client] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def primary(self) -> Node:
        """The node of mode primary."""
        return self.pair.primary

    @property
    def secondary(self) -> Node:
        """The other one."""
        return self.pair.secondary

    def other(self, node: Node) -> Node:
        """Return the peer."""
        return self.secondary if node is self.primary else self.primary

    # What people see and ask ------------------------------------------------------------------------------------------

    async def ask(self, node: Node, method: str, path: str, body: Json | None = None) -> Json:
        """Ask a controller; raises ApiError."""
        answer = await asyncio.to_thread(
            ask_once, node.controller_url, node.token, method, path, **({} if body is None else {"json": body})
        )
        return answer.json()  # type: ignore[no-any-return]

    async def status(self, node: Node) -> Json:
        """Return what the node's controller shows."""
        return await self.ask(node, "GET", "/v1/status")

    async def state(self, node: Node) -> str:
        """Return the node's state by its own agent; `gone` where that does not answer."""
        transport = httpx.AsyncHTTPTransport(uds=str(node.socket), verify=False)
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://agent", timeout=2.0) as http:
                return str((await http.get("/node")).json()["state"])
        except httpx.HTTPError:
            return "gone"

    async def record(self, node: Node) -> Json:
        """Return the node's record by its own agent."""
        transport = httpx.AsyncHTTPTransport(uds=str(node.socket), verify=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://agent", timeout=2.0) as http:
            return (await http.get("/node")).json()  # type: ignore[no-any-return]

    async def until(self, is_so: Callable[[], Awaitable[Any]], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """Wait until something is so and return it; raises AssertionError with the logs."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if found := await is_so():
                    return found
            except (ApiError, httpx.HTTPError, KeyError):
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds:g} s: {what}\n{await self.describe()}")
            await asyncio.sleep(0.05)

    async def becomes(self, node: Node, state: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until a node is in a state."""

        async def is_so() -> bool:
            return await self.state(node) == state

        await self.until(is_so, f"{node.name} is {state}", seconds)

    async def is_protected(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until a standby would take over."""
        standby = self.secondary if await self.state(self.primary) == "active" else self.primary

        async def is_so() -> bool:
            return bool((await self.status(standby))["protected"])

        await self.until(is_so, "the pair is protected", seconds)

    async def is_protected_after_sync(self, standby: Node) -> Json:
        """Sync a node that has just become standby, as soon as that is prepared, and wait until it would take over."""

        async def synced() -> Json | None:
            try:
                return await self.sync(standby)
            except SyncFailed:
                return None

        sync: Json = await self.until(synced, "a sync succeeds")
        await self.is_protected()
        return sync

    async def describe(self) -> str:
        """Say how both nodes stand, with the ends of their logs."""
        lines = []
        for node in (self.primary, self.secondary):
            try:
                record = await self.record(node)
                lines.append(f"{node.name}: {record['state']} ({record['reason']}), term {record['term']}")
            except (httpx.HTTPError, KeyError):
                lines.append(f"{node.name}: agent silent")
            try:
                status = await self.status(node)
                lines.append(f"  protected {status['protected']} {[reason['text'] for reason in status['reasons']]}")
                lines.append(f"  change {status.get('role_change')}")
            except (ApiError, httpx.HTTPError):
                lines.append("  controller silent")
        return "\n".join([*lines, self.pair.log_tail()])

    async def sync(self, node: Node | None = None) -> Json:
        """Sync a standby; what was acknowledged before has to survive from now on."""
        begun = time.monotonic()
        sync = await self.pair.sync(node or self.secondary)
        self.synced_at = begun
        return sync

    async def configure(self, failover: Json) -> None:
        """Change values of the failover group, on whichever node answers first; wait until both have them."""

        async def is_on_both() -> bool:
            for node in self.pair.nodes:
                found = (await self.ask(node, "GET", "/v1/config"))["document"]["failover"]
                if any(found[name] != value for name, value in failover.items()):
                    return False
            return True

        node = self.primary
        await asyncio.to_thread(change_config, node.controller_url, node.token, {"failover": failover})
        await self.until(is_on_both, f"{failover} on both nodes")

    async def force(self, node: Node) -> None:
        """Make a node active by an administrator's word on its host, whatever the other one may be."""
        words = ["force-active", "--confirm-node", node.name, "--peers-are-off", "--reason", "the other server is off"]
        await asyncio.to_thread(node.run_command, *words)
        assert await self.state(node) == "active"

    async def change(self, node: Node, path: str, body: Json | None = None) -> Json:
        """Begin a change of roles and wait for its end; return it."""
        begun = await self.ask(node, "POST", path, body or {})

        async def is_over() -> Json | None:
            change = (await self.status(node))["role_change"]
            return change if change["id"] == begun["id"] and change["ended_at"] else None

        ended: Json = await self.until(is_over, f"{path} ends")
        return ended

    # Faults -----------------------------------------------------------------------------------------------------------

    async def kill_host(self, node: Node) -> None:
        """Let a host die: server and services at once."""
        await asyncio.to_thread(node.die)

    async def boot_host(self, node: Node) -> None:
        """Let a dead host come up as its units would: the server starts closed, then the services."""
        await asyncio.to_thread(node.boot, [DATABASE])

    # Clients ----------------------------------------------------------------------------------------------------------

    def url(self, node: Node) -> str:
        """Return the URL of the database on a node, as the application."""
        return node.cluster.dsn(DATABASE, APPLICATION)

    def client_at(self, node: Node) -> Client:
        """Return a client that goes to one node for ever."""
        return self._keep(Client(f"at {node.name} {next(self._numbers)}", stay_at(node.name, self.url(node))))

    def client(self) -> Client:
        """Return a client that follows the probe."""
        places = {node.name: (node.agent_url, self.url(node)) for node in (self.primary, self.secondary)}
        return self._keep(Client(f"follower {next(self._numbers)}", follow_probe(places)))

    @asynccontextmanager
    async def writing(self, *, everywhere: bool = True) -> AsyncIterator[Client]:
        """Have a client follow the probe, and one stay at each node, for the time of a block; give the follower."""
        follower = self.client()
        stayers = [self.client_at(node) for node in (self.primary, self.secondary)] if everywhere else []
        async with writing(follower, *stayers):
            yield follower

    @property
    def accepted(self) -> list[Accepted]:
        """Return all writes that were acknowledged, whoever wrote them."""
        return [write for client in self.clients for write in client.accepted]

    def _keep(self, client: Client) -> Client:
        self.clients.append(client)
        return client

    # The judge --------------------------------------------------------------------------------------------------------

    def rows(self, node: Node) -> set[tuple[str, int]]:
        """Return the ledger as a node has it."""
        found = node.cluster.psql(f"SELECT writer, number FROM {TABLE}", DATABASE).splitlines()
        return {(writer, int(number)) for writer, number in (line.split("|") for line in found)}

    def check_covered(self, node: Node, covered_until: float | None = None) -> None:
        """See that every write acknowledged before the last sync began is on a node."""
        until = self.synced_at if covered_until is None else covered_until
        wanted = {(write.writer, write.number) for write in self.accepted if write.ended <= until}
        lost = wanted - self.rows(node)
        assert not lost, f"{len(lost)} of {len(wanted)} covered rows are not on {node.name}: {sorted(lost)[:5]}"

    def check_equal(self) -> None:
        """See that both nodes hold the same rows."""
        first, second = self.rows(self.primary), self.rows(self.secondary)
        assert first == second, f"only on one side: {sorted(first ^ second)[:10]}"


@asynccontextmanager
async def open_stage(
    folder: Path,
    clusters: Sequence[Cluster],
    *,
    settings: Document | None = None,
    failover: Json | None = None,
    rights: Rights = Rights.SUPERUSER,
    rows: int = 100,
    prepare: Callable[[Pair], Awaitable[None]] | None = None,
) -> AsyncIterator[Stage]:
    """Set up a pair with a small application's database, synced and protected; `prepare` sees it before it starts."""
    primary, secondary = clusters
    ensure_role(primary, APPLICATION)
    database = Database.create(primary, DATABASE, options=f"OWNER {APPLICATION}")
    try:
        primary.psql(
            f"{CREATE}; INSERT INTO {TABLE} (writer, number) SELECT 'before', n FROM generate_series(1, {rows}) n",
            DATABASE,
            user=APPLICATION,
        )
        with Pair.create(
            folder, primary, secondary, databases=[DATABASE], settings=settings or QUICK, rights=rights
        ) as pair:
            if prepare is not None:
                await prepare(pair)
            await asyncio.to_thread(pair.start)
            stage = Stage(pair)
            try:
                for node in pair.nodes:
                    await asyncio.to_thread(
                        change_config, node.controller_url, node.token, {"failover": {**FAILOVER, **(failover or {})}}
                    )
                await stage.sync()
                await stage.is_protected()
                yield stage
            finally:
                for cluster in clusters:
                    if cluster.is_running:
                        cluster.resume()
                    cluster.start()
                await asyncio.to_thread(pair.stop)
    finally:
        database.drop()
        Database(secondary, DATABASE).drop()
