"""HAProxy with the configuration of examples/ in front of two PostgreSQL servers: who writes follows the roles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path

import asyncpg
import pytest

from lab.pair import Pair
from tests.integration.load_balancers.balancer import (
    eventually,
    example,
    need,
    port_of,
    reserved,
    running,
    write_certificates,
)
from tests.integration.load_balancers.roles import give_roles, take_over
from tests.tier import in_full_tier

BEAT_SECONDS = 0.02
LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@dataclass
class Writer:
    """An application that writes all the time through one address, and connects again when it must."""

    dsn: str
    acknowledged: list[tuple[int, int]] = field(default_factory=list)
    """What was written and the server's port."""
    cut: int = 0

    async def run(self) -> None:
        number = 0
        while True:
            with suppress(OSError, TimeoutError, *LOST):
                session = await asyncpg.connect(self.dsn, timeout=3)
                try:
                    while True:
                        number += 1
                        port = await session.fetchval(
                            "INSERT INTO beat VALUES ($1) RETURNING inet_server_port()", number, timeout=10
                        )
                        self.acknowledged.append((number, port))
                        await asyncio.sleep(BEAT_SECONDS)
                finally:
                    self.cut += 1
                    session.terminate()
            await asyncio.sleep(BEAT_SECONDS)

    @property
    def servers(self) -> list[int]:
        """The servers that it wrote to, in order; one that it came back to is there again."""
        return [port for port, _ in groupby(port for _, port in self.acknowledged)]


@asynccontextmanager
async def haproxy(pair: Pair, folder: Path) -> AsyncIterator[int]:
    """HAProxy as the example has it, with the addresses of this pair; gives the port of its database."""
    program = need("haproxy")
    primary, secondary = pair.nodes
    with reserved("postgresql", "application") as bound:
        text = example(
            "haproxy.cfg",
            {
                "one.example:5432 port 8440": f"127.0.0.1:{primary.cluster.port} port {port_of(primary)}",
                "two.example:5432 port 8440": f"127.0.0.1:{secondary.cluster.port} port {port_of(secondary)}",
                "one.example:8080 port 8440": f"127.0.0.1:1 port {port_of(primary)}",
                "two.example:8080 port 8440": f"127.0.0.1:1 port {port_of(secondary)}",
                "bind :5432": f"bind 127.0.0.1:{bound['postgresql']}",
                "bind :80": f"bind 127.0.0.1:{bound['application']}",
                "/etc/haproxy/warmstandby-ca.pem": str(folder / "ca.pem"),
                "log /dev/log local0": "log stdout format raw local0",
                "    user haproxy\n    group haproxy\n": "",
            },
        )
        config = folder / "haproxy.cfg"
        config.write_text(text, encoding="utf-8")
        checked = await asyncio.create_subprocess_exec(program, "-c", "-q", "-f", str(config))
        assert await checked.wait() == 0
        log = folder / "balancer.log"
        with running([program, "-db", "-f", str(config)], folder, bound["postgresql"]):
            for server in ("one", "two"):
                down = f"Server postgresql/{server} is DOWN"
                await eventually(partial(_says, log, down), f"{server} has been asked once")
            yield bound["postgresql"]


def _says(log: Path, words: str) -> bool:
    return words in log.read_text(encoding="utf-8")


@in_full_tier
async def test_clients_follow_the_active_node_and_leave_the_demoted_one(pair: Pair, tmp_path: Path) -> None:
    """Nobody is served without an active node; the sessions to a node that is no longer active end, also idle ones."""
    primary, secondary = pair.nodes
    async with haproxy(pair, tmp_path) as port, asyncio.TaskGroup() as group:
        dsn = f"postgresql://app@127.0.0.1:{port}/mdm"
        writer = Writer(dsn)
        task = group.create_task(writer.run())
        await asyncio.sleep(1)
        assert writer.acknowledged == []

        await asyncio.to_thread(give_roles, pair, primary)
        await eventually(lambda: len(writer.acknowledged) > 20, "the client writes to the primary")
        idle = await asyncpg.connect(dsn)
        assert await idle.fetchval("SELECT inet_server_port()") == primary.cluster.port

        await asyncio.to_thread(give_roles, pair, secondary, round_number=1)
        await eventually(lambda: secondary.cluster.port in writer.servers, "the client writes to the secondary")
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await idle.fetchval("SELECT 1", timeout=5)
        idle.terminate()
        await eventually(lambda: writer.acknowledged[-1][0] > 200, "the client goes on")
        assert writer.servers == [primary.cluster.port, secondary.cluster.port]
        task.cancel()

    for node in pair.nodes:
        numbers = {number for number, server in writer.acknowledged if server == node.cluster.port}
        written = {int(line) for line in node.cluster.psql("SELECT number FROM beat", "mdm").split()}
        assert numbers <= written
        assert len(written - numbers) <= writer.cut


async def test_clients_go_on_after_the_active_node_was_killed(pair: Pair, tmp_path: Path) -> None:
    """Server and agent die at once; who was promoted gets the clients, and keeps them when the dead node is back."""
    primary, secondary = pair.nodes
    async with haproxy(pair, tmp_path) as port, asyncio.TaskGroup() as group:
        writer = Writer(f"postgresql://app@127.0.0.1:{port}/mdm")
        task = group.create_task(writer.run())
        await asyncio.to_thread(give_roles, pair, primary)
        await eventually(lambda: len(writer.acknowledged) > 20, "the client writes to the primary")

        for dying in (primary.cluster, primary.agent):
            await asyncio.to_thread(dying.kill)
        before = len(writer.acknowledged)
        await asyncio.to_thread(take_over, secondary, epoch=1)
        await eventually(lambda: len(writer.acknowledged) > before + 20, "the client writes to the secondary")

        for coming in (primary.cluster, primary.agent):
            await asyncio.to_thread(coming.start)
        await eventually(lambda: "state=fenced" in primary.agent.log_text(since_start=True), "the primary is fenced")
        now = len(writer.acknowledged)
        await eventually(lambda: len(writer.acknowledged) > now + 100, "the client goes on")
        assert writer.servers == [primary.cluster.port, secondary.cluster.port]
        task.cancel()

    numbers = {number for number, server in writer.acknowledged if server == secondary.cluster.port}
    written = {int(line) for line in secondary.cluster.psql("SELECT number FROM beat", "mdm").split()}
    assert numbers <= written


async def test_a_node_that_is_not_who_it_should_be_serves_nobody(pair: Pair, tmp_path: Path) -> None:
    """A certificate of another authority: whatever it answers, it is down."""
    (tmp_path / "other").mkdir()
    _, other = write_certificates(tmp_path / "other")
    (tmp_path / "ca.pem").rename(tmp_path / "right.pem")
    other.rename(tmp_path / "ca.pem")
    async with haproxy(pair, tmp_path) as port:
        for node in pair.nodes:
            text = node.config.read_text(encoding="utf-8").replace("/ca.pem", "/right.pem")
            node.config.write_text(text, encoding="utf-8")
        await asyncio.to_thread(give_roles, pair, pair.primary)
        await asyncio.sleep(2)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await asyncpg.connect(f"postgresql://app@127.0.0.1:{port}/mdm", timeout=3)
