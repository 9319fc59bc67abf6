"""A pair of nodes on this machine: two clusters, both services of each node as real processes, keys and tokens.

Starts, stops and asks; what a node decides, and what a sync does, is the services' matter.
"""

from __future__ import annotations

import asyncio
import atexit
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lab import ports, reaper
from lab.cluster import Cluster
from lab.node import Node, describe_node, lay_out_node
from lab.node_toml import Document, lay_over, leave_out, write_node_toml
from lab.people import ApiError, Json, SyncFailed, ask_once, change_config, explain_sync
from lab.roles import Rights, open_databases, owner_of, prepare_roles
from lab.service import Kind, Service, ServiceError

__all__ = ["Node", "Pair", "Rights", "Service", "ServiceError", "SyncFailed"]

#: Faster than a node in earnest: a test does not wait for the next look.
QUICK: Final[Document] = {"agent": {"heartbeat_seconds": 0.5}, "controller": {"heartbeat_seconds": 0.5}}
NOTHING: Final[Document] = {}


class Pair:
    """A primary, a secondary, and if asked for a second standby that never promotes itself; services not started yet.

    The clusters run and stay their owner's; ``folder`` is the pair's and goes with ``remove``, with the end of a
    ``with`` block, and with this process, as do the services.
    """

    def __init__(self, folder: Path, nodes: Sequence[Node], runtime: Path) -> None:
        self.folder = folder
        self.nodes = tuple(nodes)
        self._runtime = runtime
        atexit.register(self.remove)

    @classmethod
    def create(
        cls,
        folder: Path,
        primary: Cluster,
        secondary: Cluster,
        *,
        databases: Sequence[str] = ("mdm",),
        rights: Rights = Rights.SUPERUSER,
        settings: Document = NOTHING,
        third: Cluster | None = None,
        fence_strength: str = "hba",
    ) -> Self:
        """Prepare roles and databases and write each ``node.toml``; ``settings`` go over the sections of all of them.

        The databases are there on the primary's cluster; a component has the name of its database. ``fence_strength``
        is ``hba``, or ``limit``: without the list of ``pg_hba.conf``.
        """
        folder = folder.resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        runtime = Path(tempfile.mkdtemp(prefix="warmstandby-run-"))
        for place in (folder, runtime):
            reaper.watch(place, place)
        clusters = [primary, secondary, *([] if third is None else [third])]
        owners = {database: owner_of(primary, database) for database in databases}
        for cluster in clusters:
            prepare_roles(cluster, owners, rights)
        nodes = [lay_out_node(folder, number, cluster, runtime) for number, cluster in enumerate(clusters, start=1)]
        for node in nodes:
            described = describe_node(node, [other for other in nodes if other is not node], databases)
            if fence_strength == "limit":
                described = leave_out(described, "fencing", "hba_list")
            write_node_toml(node.config, lay_over(lay_over(described, QUICK), settings))
        return cls(folder, nodes, runtime)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    @property
    def primary(self) -> Node:
        """The node of mode primary."""
        return self.nodes[0]

    @property
    def secondary(self) -> Node:
        """The first standby."""
        return self.nodes[1]

    @property
    def services(self) -> tuple[Service, ...]:
        """All services of all nodes."""
        return tuple(service for node in self.nodes for service in node.services)

    def start(self, *, scheduled: bool = False, timeout: float = 60.0) -> None:
        """Start all services and wait until one node is active and the others are standby.

        Unless ``scheduled``, the schedule is switched off before any node is standby, so that a sync runs only when
        somebody asks for it.
        """
        for node in self.nodes:
            node.controller.start()
        self.primary.agent.start()
        if not scheduled:
            with ThreadPoolExecutor() as threads:
                for done in [threads.submit(_switch_schedule_off, node, timeout) for node in self.nodes]:
                    done.result()
        for node in self.nodes:
            node.agent.start()
        self.wait_roles(timeout)
        self.wait_capture(timeout)

    def wait_roles(self, timeout: float = 60.0) -> None:
        """Wait until the primary is active, all others are standby, and all services are ready."""
        deadline = time.monotonic() + timeout
        for node in self.nodes:
            role = "/active" if node is self.primary else "/standby"
            for path in (role, "/health/ready"):
                for service in node.services:
                    service.wait_ready(max(deadline - time.monotonic(), 0.1), path)

    def wait_capture(self, timeout: float = 60.0) -> None:
        """Wait until the primary captures the changes of all components; before that, no sync can begin."""
        deadline = time.monotonic() + timeout
        while True:
            answer = ask_once(self.primary.controller_url, self.primary.token, "GET", "/v1/components").json()
            states = [(item["capture"] or {}).get("state") for item in answer["items"] if item["folder"] is None]
            if all(state == "ready" for state in states):
                return
            if time.monotonic() > deadline:
                raise ServiceError(f"capture is {', '.join(map(str, states))}\n{self.primary.log_tail()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop all services, the controllers first; what does not stop is killed and raises ServiceError."""
        failed: list[ServiceError] = []

        def stop(service: Service) -> None:
            try:
                service.stop()
            except ServiceError as error:
                failed.append(error)
                service.kill()

        with ThreadPoolExecutor() as threads:
            for kind in (Kind.CONTROLLER, Kind.AGENT):
                list(threads.map(stop, [service for service in self.services if service.kind is kind]))
        if failed:
            raise failed[0]

    def remove(self) -> None:
        """Kill what runs of the services and remove the folder; the clusters stay. Safe to repeat."""
        atexit.unregister(self.remove)
        for node in self.nodes:
            for service in node.services:
                service.kill()
                atexit.unregister(service.kill)
                ports.release_port(int(service.url.rpartition(":")[2]))
            reaper.forget(node.config)
            if node.cluster.data.exists():
                open_databases(node.cluster)
        for place in (self.folder, self._runtime):
            reaper.end(place, place)
            reaper.forget(place)

    async def sync(
        self,
        node: Node | None = None,
        *,
        timeout: float = 120.0,
        look: Callable[[Json], None] | None = None,
    ) -> Json:
        """Sync a standby (the secondary) now and return how it ended, as ``GET /v1/syncs/{id}`` shows it.

        Raises SyncFailed with the logs of all nodes.
        """
        async with (node or self.secondary).open_api() as api:
            try:
                async with asyncio.timeout(timeout):
                    started = await api.start_sync(patience_seconds=20.0)
                    sync = await api.follow_sync(started["id"], look)
            except TimeoutError:
                raise SyncFailed({}, f"no end of the sync within {timeout:g} s\n{self.log_tail()}") from None
            except ApiError as error:
                raise SyncFailed({}, f"{error}\n{self.log_tail()}") from error
        if sync["result"] != "succeeded":
            raise SyncFailed(sync, f"{explain_sync(sync)}\n{self.log_tail()}")
        return sync

    def log_tail(self) -> str:
        """Return the last lines of all services' logs."""
        return "\n".join(node.log_tail() for node in self.nodes)


def _switch_schedule_off(node: Node, timeout: float) -> None:
    """Change the configuration as soon as the controller has its database; the node is no standby yet."""
    deadline = time.monotonic() + timeout
    token = node.token  # made in the database, while the controller still starts
    node.controller.wait_ready(timeout, "/health/live")
    while True:
        try:
            change_config(node.controller_url, token, {"sync": {"enabled": False}})
        except ApiError as error:
            if time.monotonic() > deadline:
                raise ServiceError(f"{error}\n{node.log_tail()}") from error
            time.sleep(0.1)
        else:
            return
