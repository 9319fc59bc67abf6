"""A controller on a real control database whose neighbours are scripted: the agents, and the copying."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from services.standby_controller.api import new_app
from services.standby_controller.api.parts import Parts, give_parts
from services.standby_controller.assembly import assemble
from services.standby_controller.facts import Reach
from services.standby_controller.known_pair import EMPTY
from services.standby_controller.outcome import ComponentOutcome
from services.standby_controller.policy.guards import UNGUARDED, Guards
from services.standby_controller.progress import Progress
from services.standby_controller.roles.desk import Agents
from services.standby_controller.source import Source
from services.standby_controller.store.tokens import Role
from services.standby_controller.verify.model import Wish
from shared.clock import SystemClock
from shared.errors import PeerUnreachable, WarmstandbyError
from shared.lifecycle import Sibling
from shared.node.client import Heard
from shared.node.controller_model import ControllerView
from shared.node.model import (
    ApplicationHealth,
    ClockExchange,
    DatabaseHealth,
    DiskSpace,
    Eligible,
    Envelope,
    FenceView,
    Heartbeat,
    JournalEntry,
    NodeView,
    State,
    Term,
    UnkeptTable,
    Versions,
)
from shared.node.pair import HistoryPage, PairBook
from shared.node.protocol import Speaker
from shared.replication.model import SyncKind, SyncPhase, SyncPoint
from shared.settings import (
    AgentSettings,
    AnyComponent,
    ComponentSettings,
    ControllerSettings,
    Mode,
    NodeSettings,
    PeerSettings,
    PostgresSettings,
    Settings,
    TlsSettings,
)
from tests.integration.standby_controller.comparing import ScriptedComparison

NOBODY = "http://127.0.0.1:1"
NONE: Mapping[str, str] = {}


@dataclass
class ScriptedAgent:
    """An agent that says what a test wants; `error` makes it fail instead."""

    node_id: str
    mode: Mode
    state: State
    term: Term | None = None
    error: WarmstandbyError | None = None
    clock_ahead_seconds: float = 0.0
    is_clock_synchronised: bool | None = True
    components: tuple[Any, ...] = ()
    database: DatabaseHealth = field(default_factory=lambda: DatabaseHealth(is_healthy=True, checked_age_seconds=0.0))
    application: ApplicationHealth | None = None
    fence: FenceView | None = None
    eligible: dict[str, bool] = field(default_factory=dict)
    asked: list[Eligible] = field(default_factory=list)

    async def set_eligible(self, asked: Eligible) -> NodeView:
        """Record it; fails while the agent does."""
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.asked.append(asked)
        self.eligible = {**self.eligible, "b": asked.is_eligible}
        return NodeView(
            pair_id="pair",
            node_id=self.node_id,
            boot_id="boot",
            term=self.term,
            mode=self.mode,
            state=self.state,
            eligible=self.eligible,
        )

    async def heartbeat(self) -> Heard:
        """Answer as scripted, at once."""
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        clock, now = SystemClock(), datetime.now(UTC)
        theirs = now + timedelta(seconds=self.clock_ahead_seconds)
        heartbeat = Heartbeat(
            pair_id="pair",
            node_id=self.node_id,
            boot_id="boot",
            term=self.term,
            mode=self.mode,
            site="main",
            state=self.state,
            clock=ClockExchange(
                sent_at=now, received_at=theirs, answered_at=theirs, is_synchronised=self.is_clock_synchronised
            ),
            database=self.database,
            application=self.application,
            fence=self.fence,
            disk=DiskSpace(free_bytes=2**40, floor_bytes=2**20, checked_age_seconds=0.0),
            eligible=self.eligible,
            components=self.components,
            uptime_seconds=1.0,
            versions=Versions(warmstandby="0", python="3"),
        )
        return Heard(heartbeat, now, now, clock.monotonic(), clock.monotonic())


@dataclass
class ScriptedController:
    """A peer's controller that says what a test wants; `error` makes it fail instead."""

    node_id: str
    error: WarmstandbyError | None = field(default_factory=lambda: PeerUnreachable("connection refused"))
    told: ControllerView | None = None
    book: PairBook = EMPTY

    async def check_live(self) -> None:
        """Answer as scripted, at once."""
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error

    async def view(self) -> ControllerView:
        """Answer as scripted, at once."""
        await self.check_live()
        return self.told or ControllerView(
            pair_id="pair", node_id=self.node_id, boot_id="boot", state=State.ACTIVE, reasons=()
        )

    async def pair_book(self) -> PairBook:
        """Answer what it was told last, at once."""
        await self.check_live()
        return self.book

    async def offer_pair_book(self, book: PairBook) -> PairBook:
        """Take all."""
        await self.check_live()
        self.book = book
        return book

    async def history(self, generation: str, after: int) -> HistoryPage:
        """Have none."""
        await self.check_live()
        return HistoryPage(
            pair_id="pair",
            node_id=self.node_id,
            boot_id="boot",
            generation="g",
            items=(),
            reached=after,
            has_more=False,
        )


@dataclass
class ScriptedCopy:
    """Copies nothing, and says it did; a test holds it up, or makes it fail."""

    hold: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None
    errors: dict[str, Exception] = field(default_factory=dict)
    """Of single components."""
    rows: int = 3
    compared: ScriptedComparison = field(default_factory=ScriptedComparison)
    calls: int = 0
    cleared: int = 0
    guards: Guards = UNGUARDED

    async def copy(
        self,
        component: AnyComponent,
        source: Source,
        envelope: Envelope,
        progress: Progress,
        guards: Guards,
        wish: Wish | None = None,
    ) -> ComponentOutcome:
        """Go through the phases of a seed."""
        self.calls += 1
        self.guards = guards
        progress.begin(SyncKind.SEED, tables_total=2, bytes_total=1000)
        progress.enter(SyncPhase.COPYING)
        progress.start_table("public.item")
        progress.add_bytes(100)
        progress.add_rows(self.rows)
        await self.hold.wait()
        if (error := self.errors.get(component.name, self.error)) is not None:
            raise error
        progress.finish_table("public.item", self.rows)
        progress.enter(SyncPhase.DONE)
        return ComponentOutcome(
            component=component.name,
            kind=SyncKind.SEED,
            reason="there is no copy yet",
            point=SyncPoint(capture_id="c", seq=self.calls, nonce="n"),
            rows=self.rows,
            keys=0,
            bytes=100,
            snapshot_at=datetime.now(UTC),
            rows_per_table=dict(progress.rows_per_table),
            seconds_per_phase=progress.seconds_per_phase(),
            unkept=(UnkeptTable(name="public.log", reason="it has no key"),),
            comparison=None if wish is None else self.compared.compare(component.name, wish),
        )

    async def clear(self) -> None:
        """Count."""
        self.cleared += 1


@dataclass
class ScriptedJournal:
    """The journal of the own agent, which has written what a test wants."""

    entries: list[JournalEntry] = field(default_factory=list)

    async def journal(self, after: int) -> tuple[JournalEntry, ...]:
        """Answer at most three entries, so that there are pages."""
        await asyncio.sleep(0)
        return tuple(entry for entry in self.entries if entry.seq > after)[:3]


@dataclass
class Stage:
    """The controller of node b (secondary), which follows node a."""

    parts: Parts
    own: ScriptedAgent
    peer: ScriptedAgent
    peer_controller: ScriptedController
    copy: ScriptedCopy
    journal: ScriptedJournal
    http: httpx.AsyncClient
    secrets: dict[Role, str]

    def auth(self, role: Role = Role.ADMIN) -> dict[str, str]:
        """Return the header of a token of this role."""
        return {"Authorization": f"Bearer {self.secrets[role]}"}

    async def get(self, path: str, *, expect: int = 200, role: Role = Role.ADMIN) -> Any:
        """Read a resource as JSON."""
        response = await self.http.get(path, headers=self.auth(role))
        assert response.status_code == expect, response.text
        return response.json()

    async def post(self, path: str, *, expect: int = 202, json: Any = None, headers: Mapping[str, str] = NONE) -> Any:
        """Start something and return the answer."""
        response = await self.http.post(path, headers={**self.auth(), **headers}, json=json)
        assert response.status_code == expect, response.text
        return response.json()

    async def ended(self, sync_id: str, *, within_seconds: float = 10.0) -> Any:
        """Wait for the end of a sync and return it."""
        sync: Any = None

        async def has_ended() -> bool:
            nonlocal sync
            sync = await self.get(f"/v1/syncs/{sync_id}")
            return bool(sync["result"] != "running")

        await eventually(has_ended, within_seconds=within_seconds)
        return sync


def settings_of(dsn: str, folder: Path, ca_file: Path | None = None) -> Settings:
    """Return the settings of node b."""
    return Settings(
        tls=TlsSettings(ca_file=ca_file),
        node=NodeSettings(id="b", mode=Mode.SECONDARY, pair_id="pair", key=SecretStr("b" * 24), state_dir=folder),
        postgres=PostgresSettings(dsn=SecretStr(dsn), apply_dsn=SecretStr(dsn)),
        components=(ComponentSettings(name="shop", database="shop"), ComponentSettings(name="mail", database="mail")),
        peers=(
            PeerSettings(
                node_id="a",
                mode=Mode.PRIMARY,
                agent_url=NOBODY,
                controller_url=NOBODY,
                key=SecretStr("a" * 24),
            ),
        ),
        agent=AgentSettings(heartbeat_seconds=1.0),
        controller=ControllerSettings(heartbeat_seconds=0.1),
    )


class SilentAgent:
    """An agent that takes no command: changes of roles are tried with real ones."""

    async def _refuse(self, *_: object) -> NodeView:
        raise PeerUnreachable("no agent is there to take commands")

    node = promote = commit = abandon = follow = fence = unfence = prepare_handover = order_fence = _refuse


async def _is_not_clean(_: Source) -> bool:
    return False


def silent_agents(*peers: str) -> Agents:
    """Return agents that take no command."""
    return Agents(SilentAgent(), {name: SilentAgent() for name in peers}, _is_not_clean)


@asynccontextmanager
async def open_stage(
    dsn: str,
    folder: Path,
    *,
    is_scheduled: bool = False,
    peer_error: WarmstandbyError | None = None,
    ca_file: Path | None = None,
) -> AsyncIterator[Stage]:
    """Run the controller with all its loops for the time of a block."""
    term = Term(epoch=1, owner="a")
    own = ScriptedAgent("b", Mode.SECONDARY, State.STANDBY, term)
    peer = ScriptedAgent("a", Mode.PRIMARY, State.ACTIVE, term, peer_error)
    controller_of_peer = ScriptedController("a")
    copy, journal = ScriptedCopy(), ScriptedJournal()
    copy.hold.set()
    async with assemble(
        settings_of(dsn, folder, ca_file),
        SystemClock(),
        sources=[own, peer],
        controllers={"a": controller_of_peer},
        copy_component=copy.copy,
        clear_orphans=copy.clear,
        speaker=lambda: Speaker("pair", "b", "boot", 1),
        records={"a": peer, "b": own},
        agents=silent_agents("a"),
        journal=journal,
    ) as controller:
        parts, app = controller.parts, new_app(docs=True)
        give_parts(app, parts)
        await parts.database.prepare()
        await parts.database.execute("DELETE FROM control.tokens")
        now = parts.clock.now()
        secrets = {role: (await parts.tokens.create(role.value, role, now, None))[1] for role in Role}
        async with (
            asyncio.TaskGroup() as group,
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://controller") as http,
        ):
            loops = [
                group.create_task(loop.run(), name=loop.name)
                for loop in (*controller.loops, Sibling("event feed", parts.feed.run))
                if is_scheduled or loop.name != "schedule"
            ]
            await _settle(parts)
            yield Stage(parts, own, peer, controller_of_peer, copy, journal, http, secrets)
            for loop in reversed(loops):
                loop.cancel()
                await asyncio.wait([loop])


async def _settle(parts: Parts) -> None:
    async def is_settled() -> bool:
        nodes_were_asked = parts.monitor.own.state and parts.monitor.peers[0].reach is not Reach.UNKNOWN
        return bool(nodes_were_asked) and parts.runner.is_ready and parts.config.is_known

    await eventually(is_settled)


async def eventually(condition: Callable[[], Awaitable[bool]], *, within_seconds: float = 10.0) -> None:
    """Wait until a condition holds; raises TimeoutError."""
    async with asyncio.timeout(within_seconds):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.02)
