"""What happens to processes at a moment of its own: scripts at named steps and hooks, deaths, locks."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.cluster import Cluster
from lab.ledger import TABLE
from lab.node import Node
from lab.node_toml import Document, lay_over
from lab.roles import OWN_DATABASE
from lab.service import Service
from services.standby_controller.store.database import SCHEMA
from tests.failover.stage import DATABASE, QUICK

HOOKS: Final = ("pre_promote", "restart_database")


@dataclass(slots=True)
class Accidents:
    """Scripts that wait for a step (`stumbling.py`) or a hook of a node."""

    folder: Path

    @property
    def program(self) -> tuple[str, ...]:
        """Return what runs a service so that it stumbles."""
        return ("-m", "tests.failover.stumbling", str(self.folder))

    @property
    def hook_settings(self) -> Document:
        """Return hooks that run what is laid down for them, and succeed where nothing is."""
        program = self.folder / "hook.sh"
        program.write_text(
            f"#!/bin/sh\nscript={shlex.quote(str(self.folder))}/$WARMSTANDBY_NODE.$WARMSTANDBY_HOOK\n"
            '[ ! -e "$script" ] || exec /bin/sh "$script"\n'
        )
        program.chmod(0o755)
        return {"hooks": {"timeout_seconds": 3.0, **{name: [str(program)] for name in HOOKS}}}

    def lay(self, node: Node, place: str, script: str) -> Path:
        """Lay down a script for `HOOK`, or for `STEP.OUTCOME`, where it runs once."""
        path = self.folder / f"{node.name}.{place}"
        prepared = path.with_suffix(".new")
        prepared.write_text(script)
        prepared.rename(path)
        return path

    def has_happened(self, node: Node, step: str) -> bool:
        """Say whether the accident at a step has begun."""
        return (self.folder / f"{node.name}.{step}.happened").exists()

    def clear(self) -> None:
        """Take away what did not happen."""
        for path in self.folder.glob("*"):
            if path.name != "hook.sh":
                path.unlink()


def settings_of(accidents: Accidents) -> Document:
    """Return quick settings, with hooks."""
    return {**lay_over(QUICK, {"agent": {"boot_grace_seconds": 3.0}}), **accidents.hook_settings}


def die_at(accidents: Accidents, node: Node, service: Service, steps: Iterable[str]) -> None:
    """Have a service die at each of these steps of the node's journal, whatever its process is by then."""
    for step in steps:
        accidents.lay(node, step, kill_of(service))


def kill_of(*services: Service, cluster: Cluster | None = None) -> str:
    """Return the script that kills services, and a server with its children, whatever their processes are by then."""
    pids = [f"$(pgrep -f -- '{service.kind} --config {service.config}')" for service in services]
    if cluster is not None:
        first = f"$(head -n 1 {shlex.quote(str(cluster.data / 'postmaster.pid'))})"
        pids += [f"$(pgrep -P {first})", first]
    return f"for pid in {' '.join(pids)}; do kill -9 $pid; done\n"


@asynccontextmanager
async def kept_running(service: Service) -> AsyncIterator[None]:
    """Start a service whenever it has died, as its unit would, for the time of a block."""

    async def keep() -> None:
        while True:
            service.start()
            await asyncio.sleep(0.1)

    task = asyncio.create_task(keep())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@contextmanager
def hold_ledger(cluster: Cluster) -> Iterator[None]:
    """Keep everybody else from writing the ledger, for the time of a block."""
    with _hold(cluster, DATABASE, f"LOCK TABLE {TABLE} IN SHARE MODE"):
        yield


@contextmanager
def hold_control_database(cluster: Cluster) -> Iterator[None]:
    """Keep everybody else from the controller's tables, for the time of a block."""
    tables = cluster.psql(
        f"SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables WHERE schemaname = '{SCHEMA}'",
        OWN_DATABASE,
    )
    with _hold(cluster, OWN_DATABASE, f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE"):
        yield


@contextmanager
def _hold(cluster: Cluster, database: str, lock: str) -> Iterator[None]:
    """Have a session of the superuser hold a lock for the time of a block."""
    holder = subprocess.Popen(
        [cluster.bin_dir / "psql", "-Xq", cluster.dsn(database)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert holder.stdin is not None
    try:
        holder.stdin.write(f"BEGIN; {lock}; SELECT pg_advisory_lock(4711);\n".encode())
        holder.stdin.flush()
        while cluster.psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711") == "0":
            time.sleep(0.01)
        yield
    finally:
        holder.stdin.close()
        holder.wait()


async def waits_for_lock(cluster: Cluster) -> bool:
    """Say whether a session of the applying role waits for a lock."""
    found = await asyncio.to_thread(
        cluster.psql,
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'warmstandby_apply' AND wait_event_type = 'Lock'",
    )
    return found != "0"
