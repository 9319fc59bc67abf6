"""One node of a pair on this machine: its cluster, its two services, its ``node.toml``, its credentials."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lab import hba, ports, reaper
from lab.cluster import Cluster
from lab.node_toml import Document, Section
from lab.people import PeopleApi, open_api
from lab.roles import APPLY_ROLE, NODE_ROLE, OWN_DATABASE, PROBE_ROLE
from lab.service import Kind, Service, ServiceError, run_program
from shared.settings import Mode

NAMES: Final = ("primary", "secondary", "remote")


@dataclass(slots=True)
class Node:
    """One node: its cluster, its two services, and a token for its controller."""

    name: str
    mode: Mode
    number: int
    cluster: Cluster
    config: Path
    agent: Service
    controller: Service
    key: str
    socket: Path
    _token: str | None = field(default=None, repr=False)

    @property
    def services(self) -> tuple[Service, Service]:
        """Both services."""
        return self.agent, self.controller

    @property
    def agent_url(self) -> str:
        """Where the agent listens."""
        return self.agent.url

    @property
    def controller_url(self) -> str:
        """Where the controller listens."""
        return self.controller.url

    @property
    def token(self) -> str:
        """An administrator's token, made at its first use; the controller must have run once."""
        if self._token is None:
            self._token = self.create_token("lab", "admin")
        return self._token

    def create_token(self, name: str, role: str) -> str:
        """Make a token as an administrator does on the node; roles are viewer, operator and admin."""
        return self.run_command("token", "create", "--name", name, "--role", role).strip().splitlines()[-1]

    def run_command(self, *arguments: str) -> str:
        """Run ``warmstandby …`` on this node and return its output; raises ServiceError with its words."""
        code, said = run_program(["-m", "services.cli", *arguments, "--config", str(self.config)])
        if code != 0:
            words = f"warmstandby {' '.join(arguments)} on {self.name}"
            raise ServiceError(f"{words} ended with exit code {code}: {said.strip()}")
        return said

    @asynccontextmanager
    async def open_api(self) -> AsyncIterator[PeopleApi]:
        """Open the API of this node's controller as administrator."""
        async with open_api(self.controller_url, await asyncio.to_thread(lambda: self.token)) as api:
            yield api

    def die(self) -> None:
        """Let the host die: kill the server and both services at once (SIGKILL)."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda part: part.kill(), (self.cluster, *self.services)))

    def boot(self, databases: Sequence[str]) -> None:
        """Let a dead host come up as its units do: the server starts closed to applications, then the services."""
        hba.close(self.cluster.data, databases)
        self.cluster.start()
        for service in self.services:
            service.start()

    def log_tail(self) -> str:
        """Return the last lines of both services' logs."""
        return "\n".join(service.log_tail() for service in self.services)


def lay_out_node(folder: Path, number: int, cluster: Cluster, runtime: Path) -> Node:
    """Choose name, ports and key of the pair's node of this number (1 is the primary), and watch over its services.

    Its unix socket lies in ``runtime``, whose path is short.
    """
    name = NAMES[number - 1]
    place = folder / name
    (place / "state").mkdir(mode=0o700, parents=True)
    config = place / "node.toml"
    reaper.watch(config, place)
    agent, controller = (Service(kind, config, f"http://127.0.0.1:{ports.reserve_port()}", node=name) for kind in Kind)
    mode = Mode.PRIMARY if number == 1 else Mode.SECONDARY
    return Node(
        name,
        mode,
        number,
        cluster,
        config,
        agent,
        controller,
        key=secrets.token_urlsafe(32),
        socket=runtime / f"{name}.sock",
    )


def describe_node(node: Node, others: Iterable[Node], databases: Sequence[str]) -> Document:
    """Return the content of a node's ``node.toml``."""
    return {
        "node": {
            "id": node.name,
            "mode": node.mode,
            "pair_id": "lab",
            "key": node.key,
            "number": node.number,
            "promotion": _promotion(node),
            "state_dir": node.config.parent / "state",
        },
        "postgres": {
            "dsn": node.cluster.dsn(OWN_DATABASE, NODE_ROLE),
            "apply_dsn": node.cluster.dsn(OWN_DATABASE, APPLY_ROLE),
            "bin_dir": node.cluster.bin_dir,
        },
        "fencing": {
            "hba_list": hba.list_of(node.cluster.data),
            "probe_dsn": node.cluster.dsn(OWN_DATABASE, PROBE_ROLE),
            "reader_roles": hba.READERS,
        },
        "agent": {"listen": _listen(node.agent), "socket": node.socket},
        "controller": {"listen": _listen(node.controller)},
        "components": [{"name": component_name(database), "database": database} for database in databases],
        "peers": [_peer(other) for other in others],
    }


def component_name(database: str) -> str:
    """Make a component's name of a database's: what a component's name does not allow becomes ``_``."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in database)


def _peer(node: Node) -> Section:
    return {
        "node_id": node.name,
        "mode": node.mode,
        "agent_url": node.agent_url,
        "controller_url": node.controller_url,
        "key": node.key,
        "promotion": _promotion(node),
    }


def _promotion(node: Node) -> str:
    """Without a witness, one automatic standby at most."""
    return "manual" if node.number > 2 else "automatic"


def _listen(service: Service) -> str:
    return service.url.removeprefix("http://")
