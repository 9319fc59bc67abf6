"""Two controllers as real processes that keep one configuration and one history, without agents beside them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from lab import ports
from lab.binaries import TREE
from lab.node_toml import write_node_toml
from lab.people import ApiError, ask_once
from lab.service import Kind, Service, plain_environment
from services.standby_controller.known_pair import KnownPair
from services.standby_controller.store.database import Database, open_database
from services.standby_controller.store.tokens import Role, Tokens

Json = dict[str, Any]
NODES = ("a", "b")


@dataclass
class OneController:
    """One of them: its process, its control database, and a token for it."""

    node: str
    service: Service
    dsn: str
    state: Path
    token: str = ""

    def get(self, path: str) -> Json:
        """Read a resource; raises ApiError."""
        answer: Json = self.ask("GET", path).json()
        return answer

    def ask(self, method: str, path: str, *, token: str | None = None, **options: Any) -> httpx.Response:
        """Ask with the node's token, or another; raises ApiError."""
        return ask_once(self.service.url, self.token if token is None else token, method, path, **options)

    def status_of(self, token: str) -> int | None:
        """Return the HTTP status that a token gets."""
        try:
            return self.ask("GET", "/v1/status", token=token).status_code
        except ApiError as error:
            return error.status

    def change(self, patch: Json, *, token: str | None = None) -> Json:
        """Change the configuration and return the answer."""
        etag = self.ask("GET", "/v1/config", token=token).headers["ETag"]
        headers = {"If-Match": etag, "Content-Type": "application/merge-patch+json"}
        answer: Json = self.ask("PATCH", "/v1/config", token=token, json=patch, headers=headers).json()
        return answer

    def run(self, *arguments: str) -> str:
        """Run a command on the node and return its output."""
        done = subprocess.run(
            [sys.executable, "-m", "services.cli", *arguments, "--config", str(self.service.config)],
            capture_output=True,
            text=True,
            cwd=TREE,
            env=plain_environment() | ({"WARMSTANDBY_TOKEN": self.token} if self.token else {}),
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        """Start the process and wait until it answers people."""
        self.service.start()
        self.service.wait_ready(path="/health/live")

    @asynccontextmanager
    async def open_database(self) -> AsyncIterator[Database]:
        """Open the control database beside the process."""
        async with open_database(self.dsn) as database:
            await database.prepare()
            yield database


@contextmanager
def two_controllers(folder: Path, dsns: tuple[str, str]) -> Iterator[tuple[OneController, OneController]]:
    """Run both for the time of a block, each with a token of its own."""
    found = {node: ports.reserve_port() for node in NODES}
    both = [_lay_out(folder / node, node, dsn, found) for node, dsn in zip(NODES, dsns, strict=True)]
    try:
        for one in both:
            one.service.start()
        for one in both:
            one.service.wait_ready(path="/health/live")
            one.token = asyncio.run(_make_token(one))
        wait_until(lambda: all(one.status_of(other.token) == 200 for one in both for other in both))
        yield both[0], both[1]
    finally:
        for one in both:
            one.service.kill()
        for port in found.values():
            ports.release_port(port)


def wait_until(condition: Callable[[], bool], within_seconds: float = 30.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.1)


async def _make_token(one: OneController) -> str:
    """Make a token as the command does, without the time that its process takes."""
    async with one.open_database() as database:
        tokens = Tokens(database, KnownPair(one.node), one.node)
        return (await tokens.create("test", Role.ADMIN, datetime.now(UTC), None))[1]


def _lay_out(folder: Path, node: str, dsn: str, found: dict[str, int]) -> OneController:
    (folder / "state").mkdir(parents=True)
    peer = NODES[1 - NODES.index(node)]
    write_node_toml(
        folder / "node.toml",
        {
            "node": {
                "id": node,
                "mode": "primary" if node == "a" else "secondary",
                "pair_id": "pair",
                "key": node * 24,
                "state_dir": folder / "state",
            },
            "postgres": {"dsn": dsn, "apply_dsn": dsn},
            "controller": {"listen": f"127.0.0.1:{found[node]}", "heartbeat_seconds": 0.5},
            "components": [{"name": "shop", "database": "shop"}],
            "peers": [
                {
                    "node_id": peer,
                    "mode": "primary" if peer == "a" else "secondary",
                    "agent_url": "http://127.0.0.1:1",
                    "controller_url": f"http://127.0.0.1:{found[peer]}",
                    "key": peer * 24,
                }
            ],
        },
    )
    service = Service(Kind.CONTROLLER, folder / "node.toml", f"http://127.0.0.1:{found[node]}", node=node)
    return OneController(node, service, dsn, folder / "state")
