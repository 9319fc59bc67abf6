"""A source and its copies: databases made once, nodes opened on them by each test, judged at each sync."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from lab.cluster import Cluster
from lab.database import Database
from services.standby_controller.outcome import ComponentOutcome
from shared.replication.model import SyncKind
from tests.replication.harness import SourceNode, TargetNode
from tests.replication.judge import check_equal

_numbers = itertools.count(1)
_FIRST: Final = "two"


@dataclass(slots=True)
class Place:
    """Where a source and its copies live; the databases outlive the nodes that a test opens on them."""

    cluster: Cluster
    target_cluster: Cluster
    folder: Path
    component: str

    @classmethod
    def create(cls, cluster: Cluster, folder: Path, schema: str = "", *, target: Cluster | None = None) -> Self:
        """Make the source's database, run the schema in it, and make databases for the nodes."""
        place = cls(cluster, target or cluster, folder, f"world_{next(_numbers)}")
        Database.create(cluster, place.component)
        Database.create(cluster, place.node_database("source"))
        place.add_node(_FIRST)
        if schema:
            place.sql(schema)
        return place

    @property
    def dsn(self) -> str:
        """The source's database, for the superuser."""
        return self.cluster.dsn(self.component)

    @property
    def copy_dsn(self) -> str:
        """The first standby's copy, for the superuser."""
        return self.target_cluster.dsn(self.copy_database(_FIRST))

    def node_database(self, node: str) -> str:
        """Name a node's own database."""
        return f"{self.component}_node_{node}"

    def copy_database(self, node: str) -> str:
        """Name a standby's copy."""
        return f"{self.component}_copy_{node}"

    def sql(self, text: str) -> str:
        """Run SQL on the source as the application would."""
        return self.cluster.psql(text, self.component)

    def node_sql(self, text: str) -> str:
        """Run SQL in the own database of the source's node."""
        return self.cluster.psql(text, self.node_database("source"))

    def copy_sql(self, text: str) -> str:
        """Run SQL on the first standby's copy, whose sessions only read by default."""
        writing = f"SET default_transaction_read_only = off;\n{text}"
        return self.target_cluster.psql(writing, self.copy_database(_FIRST))

    def add_node(self, node: str) -> None:
        """Make the own database of one more standby."""
        Database.create(self.target_cluster, self.node_database(node))

    def remove(self) -> None:
        """Drop every database of ours."""
        for cluster in (self.cluster, self.target_cluster):
            if cluster.is_running:
                ours = f"starts_with(datname, '{self.component}') OR starts_with(datname, 'ws_')"
                for name in cluster.psql(f"SELECT datname FROM pg_database WHERE {ours}").splitlines():
                    Database(cluster, name).drop()
                # A server has few places for origins, and one that was used keeps its own.
                origin = f"warmstandby_{self.component}"
                cluster.psql(
                    f"SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname = '{origin}'"
                )

    def build_source(self) -> SourceNode:
        """Put the source's part together, as a start of its agent does."""
        return SourceNode.build(
            self.cluster,
            node_database=self.node_database("source"),
            component=self.component,
            database=self.component,
            folder=self.folder / "source",
        )

    def build_target(self, source: SourceNode, node: str = _FIRST) -> TargetNode:
        """Put a standby's part together."""
        return TargetNode.build(
            self.target_cluster,
            source.exports,
            name=node,
            node_database=self.node_database(node),
            component=self.component,
            database=self.copy_database(node),
            folder=self.folder / node,
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[World]:
        """Start the nodes on these databases."""
        source = self.build_source()
        world = World(self, source, self.build_target(source))
        await source.ensure()
        await world.target.prepare()
        try:
            yield world
        finally:
            await world.source.close()


@dataclass(slots=True)
class World:
    """A running source and its first standby."""

    place: Place
    source: SourceNode
    target: TargetNode

    def sql(self, text: str) -> str:
        """Run SQL on the source as the application would."""
        return self.place.sql(text)

    async def sync(self) -> ComponentOutcome:
        """Sync, and hold the copy to the source; nobody writes meanwhile."""
        self.target.client.refusals.clear()
        outcome = await self.target.sync()
        await check_equal(self.place.dsn, self.place.copy_dsn)
        assert not self.target.client.surprises
        return outcome

    async def delta(self) -> ComponentOutcome:
        """Sync as `sync` does; it must have been enough to bring what changed."""
        outcome = await self.sync()
        assert outcome.kind is SyncKind.DELTA, outcome.reason
        return outcome

    async def seed(self) -> ComponentOutcome:
        """Sync as `sync` does; it must have been a full copy."""
        outcome = await self.sync()
        assert outcome.kind is SyncKind.SEED
        return outcome

    def forget_copy(self) -> None:
        """Let the first standby forget where its copy stands: the next sync makes another."""
        self.place.copy_sql("DELETE FROM warmstandby.cursor")

    async def drain(self) -> None:
        """Drain once, as the background does."""
        await self.source.capture.drainer.drain()

    async def tick(self) -> None:
        """Do one round of the background: drain, trim, measure."""
        await self.source.capture.tick()

    async def restart(self) -> None:
        """Start the source's agent anew, and give the standby a way to it."""
        await self.source.close()
        self.source = self.place.build_source()
        self.target = self.place.build_target(self.source)
        await self.source.ensure()
