"""Other ways that keep a copy, made fresh for each comparison from the database that is not ours."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Final, Protocol

from bench.model import NotMeasured
from bench.stage import PEERS, Stage, until
from lab.binaries import find_bin_dir

PGLOGICAL_SERVER: Final = {"shared_preload_libraries": "pglogical", "max_worker_processes": "20"}


class Rival(Protocol):
    """A way to keep a copy of the peer's database on the target."""

    def prepare(self, *, with_copy: bool) -> None:
        """Make the target's empty tables (indexes included, as copying needs them) or an equal copy."""

    async def copy(self) -> float:
        """Return the seconds of the initial copy."""

    def follow(self) -> None:
        """Follow without a copy and stop at once, so that a backlog grows."""

    async def catch_up(self) -> float:
        """Return the seconds from going on until all that is there has been applied; it follows from then on."""

    def stop(self) -> None:
        """Apply nothing until it is told to catch up."""

    def end(self) -> None:
        """Remove what was made on both sides."""


class Native:
    """A subscription of PostgreSQL itself."""

    def __init__(self, stage: Stage) -> None:
        """Take the stage; nothing is made yet."""
        self._stage = stage

    def prepare(self, *, with_copy: bool) -> None:
        """Make the target's tables and the publication."""
        self._stage.empty_on_target(PEERS)
        self._stage.content.fill(self._stage.target, PEERS, with_rows=with_copy)
        self._stage.on_source("DROP PUBLICATION IF EXISTS rival; CREATE PUBLICATION rival FOR ALL TABLES", PEERS)

    async def copy(self) -> float:
        """Return the seconds of the subscription's initial copy."""
        begun = time.monotonic()
        self._subscribe("copy_data = true")
        asked = "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel"
        await until(lambda: self._stage.on_target(asked, PEERS) == "t", "the subscription's copy")
        return time.monotonic() - begun

    def follow(self) -> None:
        """Subscribe without a copy and stop."""
        self._subscribe("copy_data = false")
        self.stop()

    async def catch_up(self) -> float:
        """Return the seconds that the subscription needs."""
        wanted = self._stage.on_source("SELECT pg_current_wal_flush_lsn()", PEERS)
        begun = time.monotonic()
        self._stage.on_target("ALTER SUBSCRIPTION rival ENABLE", PEERS)
        asked = f"SELECT confirmed_flush_lsn >= '{wanted}' FROM pg_replication_slots WHERE slot_name = 'rival'"
        await until(lambda: self._stage.on_source(asked, PEERS) == "t", "the subscription")
        return time.monotonic() - begun

    def stop(self) -> None:
        """Disable the subscription."""
        self._stage.on_target("ALTER SUBSCRIPTION rival DISABLE", PEERS)

    def end(self) -> None:
        """Drop the subscription with its slot."""
        self._stage.on_target("DROP SUBSCRIPTION IF EXISTS rival", PEERS)

    def _subscribe(self, options: str) -> None:
        source = self._stage.source.dsn(PEERS)
        self._stage.on_target(
            f"CREATE SUBSCRIPTION rival CONNECTION '{source}' PUBLICATION rival WITH ({options})", PEERS
        )


class Pglogical:
    """The extension pglogical, where the PostgreSQL that is measured has it; it is never installed from here."""

    def __init__(self, stage: Stage) -> None:
        """Take the stage; nothing is made yet."""
        self._stage = stage

    def prepare(self, *, with_copy: bool) -> None:
        """Make the target's tables, the extension and the nodes on both sides.

        The target's database stays: pglogical's supervisor, at least that of 2.4, lets a DROP DATABASE wait for ever.
        """
        stage = self._stage
        if not stage.on_target(f"SELECT 1 FROM pg_database WHERE datname = '{PEERS}'", "postgres"):
            stage.empty_on_target(PEERS)
        stage.on_target("DROP SCHEMA public CASCADE; CREATE SCHEMA public", PEERS)
        stage.content.fill(stage.target, PEERS, with_rows=with_copy)
        for name, cluster in (("provider", stage.source), ("subscriber", stage.target)):
            cluster.psql(
                "DROP EXTENSION IF EXISTS pglogical CASCADE; CREATE EXTENSION pglogical;"
                f"SELECT pglogical.create_node(node_name := '{name}', dsn := '{self._dsn(name)}')",
                PEERS,
            )
        stage.on_source("SELECT pglogical.replication_set_add_all_tables('default', ARRAY['public'])", PEERS)

    async def copy(self) -> float:
        """Return the seconds of the subscription's initial copy."""
        begun = time.monotonic()
        self._subscribe(with_copy=True)
        asked = "SELECT bool_and(sync_status IN ('r', 'y')) FROM pglogical.local_sync_status"
        await until(lambda: self._stage.on_target(asked, PEERS) == "t", "pglogical's copy")
        return time.monotonic() - begun

    def follow(self) -> None:
        """Subscribe without a copy and stop."""
        self._subscribe(with_copy=False)
        self._stage.on_target("SELECT pglogical.wait_for_subscription_sync_complete('rival')", PEERS)
        self.stop()

    async def catch_up(self) -> float:
        """Return the seconds that the subscription needs."""
        wanted = self._stage.on_source("SELECT pg_current_wal_flush_lsn()", PEERS)
        begun = time.monotonic()
        self._stage.on_target("SELECT pglogical.alter_subscription_enable('rival', true)", PEERS)
        asked = f"SELECT bool_or(confirmed_flush_lsn >= '{wanted}') FROM pg_replication_slots WHERE slot_name ~ '^pgl_'"
        await until(lambda: self._stage.on_source(asked, PEERS) == "t", "pglogical")
        return time.monotonic() - begun

    def stop(self) -> None:
        """Disable the subscription."""
        self._stage.on_target("SELECT pglogical.alter_subscription_disable('rival', true)", PEERS)

    def end(self) -> None:
        """Drop subscription, nodes and extension."""
        self._stage.on_target("SELECT pglogical.drop_subscription('rival', true)", PEERS)

    def _subscribe(self, *, with_copy: bool) -> None:
        wishes = f"synchronize_data := {with_copy}"
        self._stage.on_target(
            f"SELECT pglogical.create_subscription('rival', '{self._dsn('provider')}', {wishes})", PEERS
        )

    def _dsn(self, name: str) -> str:
        cluster = self._stage.source if name == "provider" else self._stage.target
        return f"host=127.0.0.1 port={cluster.port} dbname={PEERS} user=postgres"


def require_pglogical(major: int) -> None:
    """Raise NotMeasured where the PostgreSQL of this major has no pglogical."""
    programs = find_bin_dir(major)
    told = subprocess.run([programs / "pg_config", "--sharedir"], capture_output=True, text=True, check=False)
    if not Path(told.stdout.strip(), "extension", "pglogical.control").is_file():
        raise NotMeasured("this PostgreSQL has no pglogical (PG_BIN and --major choose another one)")
