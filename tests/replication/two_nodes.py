"""Two nodes of which each can serve and follow: agents' parts, controllers' parts, roles set by hand.

What runs is the product. Ours are the state of each node, and the way between the services, which is a call instead of
a request. Where two nodes replicate in turn, each has a cluster of its own: slots have the component's name.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self, cast

from lab.cluster import Cluster
from lab.database import Database
from services.primary_agent.capture.base import BaseKind, BaseResult
from services.primary_agent.capture.component import ComponentCapture
from services.primary_agent.capture.service import CaptureService
from services.primary_agent.export.service import ExportService
from services.primary_agent.node.node import EnvelopeFields
from services.primary_agent.returning.divergence import DivergenceService
from services.primary_agent.returning.meeting import MeetingService
from services.standby_controller.apply.component import clear_orphans, sync_component
from services.standby_controller.apply.returning import ReturnView, find_divergence
from services.standby_controller.outcome import ComponentOutcome
from services.standby_controller.policy.guards import UNGUARDED, Guards
from services.standby_controller.progress import Progress
from services.standby_controller.rescue.shelf import Shelf
from services.standby_controller.verify.model import Wish
from shared.clock import SystemClock
from shared.errors import NotActive
from shared.fencing.fence import Fence
from shared.node.client import NodeClient
from shared.node.model import Envelope, State, Term
from shared.replication.model import SyncPoint, TableName
from shared.replication.returning import BaseFound, Divergence, FindBase, KeysStored, SharedPoints
from shared.settings import Settings
from tests.replication.harness import DirectClient, settings_of
from tests.replication.judge import check_equal

_numbers = itertools.count(1)


class StatedNode:
    """A node that is what a test says."""

    def __init__(self, node_id: str) -> None:
        self.node_id = node_id
        self.state = State.STANDBY
        self.term = Term(epoch=1, owner="one")

    def require_exporting(self, caller: str) -> None:
        """Let only a node that serves, or hands over, give its data."""
        if self.state not in (State.ACTIVE, State.DEMOTING):
            raise NotActive(f"the node {self.node_id} is {self.state}")

    def require_term(self, epoch: int) -> None:
        """Take every term."""

    def envelope(self) -> EnvelopeFields:
        """Speak as this node."""
        return EnvelopeFields(pair_id="pair", node_id=self.node_id, boot_id="boot", term=self.term)


class DirectWay(DirectClient):
    """All of the node client that a sync and a return use, as calls to one node's services."""

    def __init__(self, node: TwoSided, caller: str) -> None:
        super().__init__(node.exports, caller)
        self.node_id = node.node.node_id
        self.uploaded: list[tuple[str, int]] = []
        self._meeting, self._divergence, self._who = node.meeting, node.divergence, caller

    async def shared_points(self, component: str) -> SharedPoints:
        """Ask for moments."""
        with self._answering():
            return await self._divergence.list_points(component)

    async def divergence(self, component: str, point: SyncPoint) -> Divergence:
        """Ask what it has alone."""
        with self._answering():
            return await self._divergence.find(component, point)

    @asynccontextmanager
    async def divergent_keys(
        self, component: str, number: int, *, with_birth: bool = False
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream keys."""
        async with self._stream(
            lambda sink: self._divergence.copy_keys(component, number, sink, with_birth=with_birth)
        ) as chunks:
            yield chunks

    async def find_base(self, component: str, asked: FindBase) -> BaseFound:
        """Ask for the moment both know."""
        with self._answering():
            return await self._meeting.find_base(component, asked, self._who)

    async def put_divergent_keys(
        self, component: str, table: TableName, key: Iterable[tuple[str, str]], chunks: AsyncIterator[bytes]
    ) -> KeysStored:
        """Bring keys."""
        with self._answering():
            stored = await self._meeting.store_keys(
                component, (table.schema_name, table.name), list(key), self._who, chunks
            )
        self.uploaded.append((f"{table.schema_name}.{table.name}", stored.count))
        return stored


@dataclass(slots=True)
class TwoSided:
    """One node: its cluster, and the parts of both its services."""

    cluster: Cluster
    settings: Settings
    node: StatedNode
    captures: CaptureService
    exports: ExportService
    meeting: MeetingService
    divergence: DivergenceService

    @classmethod
    def build(cls, cluster: Cluster, settings: Settings) -> Self:
        """Put the parts together, as a start of both services does; nothing is connected yet."""
        node, clock = StatedNode(settings.node.id), SystemClock()
        captures = CaptureService(settings, clock, node)
        return cls(
            cluster,
            settings,
            node,
            captures,
            ExportService(settings, clock, node, captures),
            MeetingService(clock, node, captures),
            DivergenceService(clock, node, captures),
        )

    @property
    def name(self) -> str:
        """The component's name, and that of its database."""
        return self.settings.components[0].name

    @property
    def capture(self) -> ComponentCapture:
        """The component's capture."""
        return self.captures.component(self.name)

    @property
    def dsn(self) -> str:
        """The component's database, for the superuser."""
        return self.cluster.dsn(self.settings.components[0].database)

    @property
    def shelf(self) -> Shelf:
        """The node's rescues."""
        return Shelf(self.settings)

    def sql(self, text: str) -> str:
        """Run SQL in the component's database as an application would."""
        return self.cluster.psql(text, self.settings.components[0].database)

    def node_sql(self, text: str) -> str:
        """Run SQL in the node's own database."""
        return self.cluster.psql(text, _own_database(self.settings))

    async def tick(self) -> None:
        """Do one round of the capture's loop."""
        await self.captures.tick(self.capture)

    async def open(self) -> None:
        """Let applications write: a full copy was closed before it was swapped in."""
        await Fence(self.settings, SystemClock()).open()

    def accept_apply(self, accepts: bool) -> None:
        """Set the guards, as fencing does when a role changes."""
        for run in (self.sql, self.node_sql):
            schema = "warmstandby" if run == self.sql else "agent"
            run(f"SET default_transaction_read_only = off; UPDATE {schema}.guard SET accepts_apply = {accepts}")

    async def close(self) -> None:
        """Let go of the databases."""
        await self.capture.drainer.close()


@dataclass(slots=True)
class TwoNodes:
    """A pair whose roles a test changes; `one` served first."""

    one: TwoSided
    two: TwoSided
    epoch: int = 1
    ways: dict[str, DirectWay] = field(default_factory=dict)
    after_listing: Callable[[], Awaitable[None]] | None = None

    @property
    def nodes(self) -> tuple[TwoSided, TwoSided]:
        """Both."""
        return self.one, self.two

    @property
    def active(self) -> TwoSided:
        """The node that serves."""
        return next(node for node in self.nodes if node.node.state is State.ACTIVE)

    @property
    def other(self) -> TwoSided:
        """The node that does not."""
        return next(node for node in self.nodes if node.node.state is not State.ACTIVE)

    async def begin(self) -> None:
        """Have the first one serve, and the second one follow as a full copy."""
        self.one.node.state, self.two.node.state = State.ACTIVE, State.STANDBY
        for node in self.nodes:
            await node.captures.prepare()
        await self.one.tick()
        await self.sync()
        await self.two.tick()

    async def sync(self) -> ComponentOutcome:
        """Bring the other node to the active one's state, as its controller does, and hold it to that."""
        outcome = await self.copy()
        await check_equal(self.active.dsn, self.other.dsn)
        return outcome

    async def copy(self, wish: Wish | None = None, guards: Guards = UNGUARDED) -> ComponentOutcome:
        """Do the same without judging it; with a wish, the product itself does then."""
        target, source = self.other, self.active
        way = DirectWay(source, target.node.node_id)
        own = DirectWay(target, target.node.node_id)
        self.ways = {"peer": way, "own": own}
        way.after_listing = self.after_listing
        progress = Progress(SystemClock())
        progress.start_component(target.name)
        try:
            return await sync_component(
                target.settings.components[0],
                settings=target.settings,
                client=cast("NodeClient", way),
                term=source.node.term,
                envelope=Envelope(pair_id="pair", node_id=target.node.node_id, boot_id="boot", term=source.node.term),
                progress=progress,
                guards=guards,
                own=cast("NodeClient", own),
                wish=wish,
            )
        finally:
            surprises = [*way.surprises, *own.surprises]
            assert not surprises, surprises

    async def look(self) -> ReturnView:
        """Ask what both have alone, as the controller does before anybody approves."""
        target, source = self.other, self.active
        return await find_divergence(
            target.name,
            client=cast("NodeClient", DirectWay(source, target.node.node_id)),
            own=cast("NodeClient", DirectWay(target, target.node.node_id)),
        )

    async def fail_over(self, *, is_lost: bool = False) -> BaseResult:
        """Have the standby serve as after the death of the other, which is fenced when it comes back."""
        return await self._promote(State.FENCED, is_lost=is_lost)

    async def switch_over(self) -> BaseResult:
        """Have the standby serve after a last delta up to the closed position of the other, which follows at once."""
        self.active.node.state = State.DEMOTING
        await self.active_or_closing.tick()
        return await self._promote(State.STANDBY)

    @property
    def active_or_closing(self) -> TwoSided:
        """The node that serves, or has just stopped to."""
        return next(node for node in self.nodes if node.node.state in (State.ACTIVE, State.DEMOTING))

    async def _promote(self, becomes: State, *, is_lost: bool = False) -> BaseResult:
        old = self.active_or_closing
        new = next(node for node in self.nodes if node is not old)
        old.node.state = becomes
        await old.close()
        new.node.state = State.PROMOTING
        new.accept_apply(False)
        self.epoch += 16
        result = BaseResult(new.name, BaseKind.LOST) if is_lost else (await new.captures.begin_term(self.epoch))[0]
        for node in self.nodes:
            node.node.term = Term(epoch=self.epoch, owner=new.node.node_id)
        await new.open()
        new.node.state = State.ACTIVE
        await new.tick()
        old.accept_apply(True)
        return result

    async def follow(self) -> ComponentOutcome:
        """Bring the returned node back, and have it follow."""
        outcome = await self.sync()
        self.other.node.state = State.STANDBY
        await self.other.tick()
        return outcome

    async def restart(self) -> None:
        """Start the services of both nodes anew; what they do stays."""
        for name in ("one", "two"):
            before: TwoSided = getattr(self, name)
            await before.close()
            after = TwoSided.build(before.cluster, before.settings)
            after.node.state, after.node.term = before.node.state, before.node.term
            setattr(self, name, after)

    async def close(self) -> None:
        """Let go of the databases."""
        for node in self.nodes:
            await node.close()

    async def clear_orphans(self) -> None:
        """Clear what a sync left behind, as each new one does."""
        await clear_orphans(self.other.settings)


@dataclass(frozen=True, slots=True)
class Ground:
    """Two clusters with the databases of one pair; the nodes on it may be built again and again."""

    one: Settings
    two: Settings
    clusters: tuple[Cluster, Cluster]

    @classmethod
    def create(cls, clusters: tuple[Cluster, Cluster], folder: Path, schema: str) -> Self:
        """Make the first node's database by a schema, and each node's own."""
        component = f"pair_{next(_numbers)}"
        Database.create(clusters[0], component)
        clusters[0].psql(schema, component)
        settings = []
        for name, cluster in zip(("one", "two"), clusters, strict=True):
            own = f"{component}_own"
            Database.create(cluster, own)
            place = folder / f"{component}-{name}"
            settings.append(settings_of(cluster, name, own, component, component, place))
        return cls(settings[0], settings[1], clusters)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[TwoNodes]:
        """Have the first node serve and the second one follow, for the time of a block."""
        nodes = TwoNodes(TwoSided.build(self.clusters[0], self.one), TwoSided.build(self.clusters[1], self.two))
        try:
            await nodes.begin()
            yield nodes
        finally:
            await nodes.close()

    def remove(self) -> None:
        """Drop every database of ours."""
        component = self.one.components[0].name
        for cluster in self.clusters:
            if cluster.is_running:
                for slot in cluster.psql("SELECT slot_name FROM pg_replication_slots").splitlines():
                    cluster.psql(f"SELECT pg_drop_replication_slot('{slot}')")
                cluster.psql("SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin")
                ours = f"starts_with(datname, '{component}') OR starts_with(datname, 'ws_')"
                for name in cluster.psql(f"SELECT datname FROM pg_database WHERE {ours}").splitlines():
                    Database(cluster, name).drop()


@contextmanager
def two_clusters(folder: Path, major: int, other: int | None = None) -> Iterator[tuple[Cluster, Cluster]]:
    """Run two clusters for the time of a block; the second one is of another major where one is given."""
    settings: Final = {"max_prepared_transactions": "10"}
    with (
        Cluster.create(folder / "one", major=major, settings=settings) as one,
        Cluster.create(folder / "two", major=other or major, settings=settings) as two,
    ):
        one.start()
        two.start()
        yield one, two


def _own_database(settings: Settings) -> str:
    return settings.postgres.dsn.get_secret_value().rpartition("/")[2]
