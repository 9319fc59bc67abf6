"""The stage of all crash tests: a pair of real nodes, its four parts that may die, and what must hold after a death.

A test kills a part at a phase of a sync (``strike``), starts it again (``revive``) and asks for the next sync
(``recover``), which has to succeed by itself and leave nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import httpx

from lab import processes
from lab.cluster import Cluster
from lab.node_toml import Document
from lab.pair import Pair
from lab.people import ApiError, Json
from lab.service import Service
from tests.crash.generations import NAME, Generations, fingerprint, reading

_POLL_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 60.0
_UNEXPECTED: Final = re.compile(
    r"Traceback|unexpected error|sync hit a bug|service broken|never retrieved|never awaited|unhandled|socket\.send\(\)"
)


class Part(StrEnum):
    """What may die during a sync."""

    AGENT = "agent"
    CONTROLLER = "controller"
    SOURCE = "source"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said to a look at it."""

    path: str
    status: int
    code: str | None
    has_retry_after: bool


@dataclass
class Stage:
    """A pair at work, its database in generations, and what was seen of it."""

    source: Cluster
    target: Cluster
    pair: Pair
    data: Generations
    _sessions_at_rest: int | None = None
    _files_at_rest: frozenset[Path] = frozenset()
    _log_ends: dict[Path, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Note what lies in the state folder before the first sync."""
        self._files_at_rest = frozenset(self._state_files())

    @property
    def copy_dsn(self) -> str:
        """The copy, for its readers."""
        return self.target.dsn(NAME)

    @property
    def agent(self) -> Service:
        """The active node's agent."""
        return self.pair.primary.agent

    @property
    def controller(self) -> Service:
        """The standby's controller."""
        return self.pair.secondary.controller

    def kill(self, part: Part) -> None:
        """Kill a part (SIGKILL) with all of its processes."""
        self._killable(part).kill()

    def pause(self, part: Part) -> None:
        """Freeze a part (SIGSTOP) with all of its processes."""
        self._killable(part).pause()

    def resume(self, part: Part) -> None:
        """Let a paused part go on."""
        self._killable(part).resume()

    async def revive(self) -> None:
        """Start what is dead, and wait until both nodes are what they were."""
        for cluster in (self.source, self.target):
            await asyncio.to_thread(cluster.start)
        for service in self.pair.services:
            service.start()
        await asyncio.to_thread(self.pair.wait_roles, _PATIENCE_SECONDS)

    async def sync_until(
        self, reached: Callable[[Json], bool], act: Callable[[], None] | None = None, *, delay_seconds: float = 0.0
    ) -> Json:
        """Start a sync, act some time after it has reached something, and return what was last seen of it."""
        async with self.pair.secondary.open_api() as api:
            sync = await api.start_sync(patience_seconds=_PATIENCE_SECONDS)
            while sync["result"] == "running" and not reached(sync):
                await asyncio.sleep(_POLL_SECONDS)
                sync = await api.read_sync(sync["id"])
        await asyncio.sleep(delay_seconds)
        if act is not None:
            await asyncio.to_thread(act)
        return sync

    async def strike(self, part: Part, reached: Callable[[Json], bool], *, delay_seconds: float) -> Json:
        """Kill a part in the middle of a sync of a new generation, start it again, and return the next sync.

        Readers of the copy and callers of the API look on all the time; what they may see is judged here.
        """
        before, after = self.data.now, await self.data.advance()
        async with reading(self.copy_dsn) as reader, asking(self) as answers:
            broken = await self.sync_until(reached, lambda: self.kill(part), delay_seconds=delay_seconds)
            await self.revive()
            ended = await self.read_end(broken["id"])
            succeeded = await self.recover()
            await reader.read()
        told = ended["failure"] or {"code": "-", "detail": "-"}
        print(f"{part} killed after {delay_seconds:.2f} s: {ended['result']} {told['code']}: {told['detail']}")
        assert reader.wrong == []
        assert set(reader.seen) <= {before, after}, (before, after, reader.seen)
        assert reader.seen == sorted(reader.seen), "the copy went back"
        assert before in reader.seen
        assert after in reader.seen
        check_answers(answers)
        check_told(ended)
        return succeeded

    async def wait_for(self, cluster: Cluster, query: str) -> None:
        """Ask a server again and again until there is an answer."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while await asyncio.to_thread(cluster.psql, query) == "":
                pass

    async def kill_at_a_drain(self, part: Part, *, delay_seconds: float) -> None:
        """Kill a part while the agent reads the slot in the background."""
        await self.wait_for(self.source, _DRAINING)
        await asyncio.sleep(delay_seconds)
        await asyncio.to_thread(self.kill, part)

    def is_swapping(self, sync: Json) -> bool:
        """Say whether a seed is about to swap databases: its indexes are made."""
        return at_phase("swapping")(sync) or bool(self.target.psql(_FINISHING))

    async def read_end(self, sync_id: str) -> Json:
        """Wait for the end of a sync, as the history tells it."""
        sync: Json = {}
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS), self.pair.secondary.open_api() as api:
                while True:
                    with contextlib.suppress(ApiError):
                        sync = await api.read_sync(sync_id)
                        if sync["result"] != "running":
                            return sync
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"sync {sync_id} does not end: {sync}\n{self.pair.log_tail()}") from None

    async def cancel(self, sync_id: str) -> None:
        """Cancel a sync as a person does; one that has just ended refuses."""
        node = self.pair.secondary
        headers = {"Authorization": f"Bearer {node.token}"}
        async with httpx.AsyncClient(base_url=node.controller_url, headers=headers, trust_env=False) as http:
            response = await http.post(f"/v1/syncs/{sync_id}/cancel")
        assert response.status_code == 202 or response.json()["code"] == "sync_not_running", response.text

    async def has_event(self, kind: str, subject: str) -> bool:
        """Say whether the standby tells of something, within a few seconds."""
        async with self.pair.secondary.open_api() as api:
            for _ in range(50):
                events = (await api.get("/v1/events?limit=100"))["items"]
                if any((event["kind"], event["subject"]) == (kind, subject) for event in events):
                    return True
                await asyncio.sleep(0.1)
        return False

    async def read_capture(self, state: str) -> Json:
        """Return the capture as the active node tells of it, once it is in a state."""
        async with asyncio.timeout(_PATIENCE_SECONDS), self.pair.primary.open_api() as api:
            while True:
                capture: Json | None = (await api.get("/v1/components"))["items"][0]["capture"]
                if capture is not None and capture["state"] == state:
                    return capture
                await asyncio.sleep(0.1)

    async def recover(self) -> Json:
        """Sync once, with success, and see that both sides are equal and nothing is left of what came before."""
        sync = await self.pair.sync()
        assert await fingerprint(self.copy_dsn) == await fingerprint(self.data.dsn)
        await self.check_nothing_left()
        self.check_logs()
        return sync

    async def check_nothing_left(self) -> None:
        """See that no database, file, session, slot or program is left of a sync that broke off."""
        found: list[str] = []
        for _ in range(50):
            found = await asyncio.to_thread(self._leftovers)
            if not found:
                return
            await asyncio.sleep(0.1)
        raise AssertionError("left behind: " + "; ".join(found))

    def check_logs(self) -> None:
        """See that no service met an error it did not expect since the last look."""
        for service in self.pair.services:
            text = service.log.read_text(errors="replace")
            seen, self._log_ends[service.log] = self._log_ends.get(service.log, 0), len(text)
            strange = _UNEXPECTED.search(text, seen)
            assert strange is None, f"{service.name}:\n{text[max(0, strange.start() - 1500) : strange.end() + 3500]}"

    def forget_logs(self) -> None:
        """Look at the logs from here on."""
        for service in self.pair.services:
            self._log_ends[service.log] = len(service.log.read_text(errors="replace"))

    @property
    def is_in_step(self) -> bool:
        """Is there a copy, of the present generation?"""
        if not self.target.psql(f"SELECT 1 FROM pg_database WHERE datname = '{NAME}'"):
            return False
        return self.target.psql("SELECT max(generation) FROM ledger", NAME) == str(self.data.now)

    def leftover_databases(self) -> list[str]:
        """Return shadow and replaced databases of the standby."""
        names = self.target.psql("SELECT datname FROM pg_database WHERE datname LIKE 'ws\\_%'")
        return [f"database {name}" for name in names.splitlines()]

    def _leftovers(self) -> list[str]:
        found = self.leftover_databases()
        found += [f"file {path.name}" for path in self._state_files()]
        found += [f"session {line}" for line in self.source.psql(_HOLDING).splitlines()]
        found += [f"session {line}" for line in self.target.psql(_APPLYING).splitlines()]
        for cluster in (self.source, self.target):  # the standby's own, in its copy, is for its next promotion
            slots = cluster.psql("SELECT slot_name, database FROM pg_replication_slots").splitlines()
            found += [] if slots == [f"warmstandby_{NAME}|{NAME}"] else [f"slots {slots}"]
        for service in self.pair.services:
            found += [f"program {pid} of the {service.name}" for pid in processes.children_of(service.pid)]
        sessions = int(self.source.psql(_SESSIONS))
        if self._sessions_at_rest is None and not found:
            self._sessions_at_rest = sessions
        if self._sessions_at_rest is not None and sessions > self._sessions_at_rest:
            found.append(
                f"{sessions} sessions of ours with the active node's database, {self._sessions_at_rest} before"
            )
        return found

    def _state_files(self) -> list[Path]:
        state = self.pair.secondary.config.parent / "state"
        return [path for path in state.rglob("*") if path.is_file() and path not in self._files_at_rest]

    def _killable(self, part: Part) -> Service | Cluster:
        match part:
            case Part.AGENT:
                return self.agent
            case Part.CONTROLLER:
                return self.controller
            case Part.SOURCE:
                return self.source
            case Part.TARGET:
                return self.target


@contextmanager
def open_stage(folder: Path, majors: tuple[int, int], *, rows: int, settings: Document) -> Iterator[Stage]:
    """Make a pair that was not synced yet, for the time of a block; every sync is asked for."""
    source, target = (
        Cluster.create(folder / name, major=major) for name, major in zip(("source", "target"), majors, strict=True)
    )
    with source, target:
        source.start()
        target.start()
        data = Generations(source, rows=rows)
        with Pair.create(folder / "pair", source, target, databases=[NAME], settings=settings) as pair:
            pair.start()
            yield Stage(source, target, pair, data)


def at_phase(phase: str, *, kind: str | None = None) -> Callable[[Json], bool]:
    """Say of a running sync whether it is in a phase."""

    def is_there(sync: Json) -> bool:
        progress: dict[str, Any] = sync["progress"] or {}
        return progress.get("phase") == phase and kind in (None, progress.get("kind"))

    return is_there


@asynccontextmanager
async def asking(stage: Stage) -> AsyncIterator[list[Answer]]:
    """Ask the standby's API again and again beside a block, and collect what it says."""
    answers: list[Answer] = []
    node = stage.pair.secondary
    headers = {"Authorization": f"Bearer {node.token}"}

    async def ask_on() -> None:
        async with httpx.AsyncClient(
            base_url=node.controller_url, headers=headers, timeout=15, trust_env=False
        ) as http:
            while True:
                for path in ("/v1/status", "/v1/syncs?limit=2", "/v1/components", "/v1/events?limit=2"):
                    try:
                        response = await http.get(path)
                    except httpx.TransportError:
                        await asyncio.sleep(0.1)
                        continue
                    code = response.json().get("code") if response.is_error else None
                    answers.append(Answer(path, response.status_code, code, "Retry-After" in response.headers))
                    await asyncio.sleep(0.15)

    task = asyncio.create_task(ask_on())
    try:
        yield answers
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def check_answers(answers: list[Answer]) -> None:
    """An API whose database is away says so, and when to ask again; it never breaks."""
    bad = {a for a in answers if not (a.status == 200 or (a.status == 503 and a.has_retry_after))}
    assert not bad, bad


def check_told(ended: Json) -> None:
    """See that the history says why a sync ended that a death broke off; one that was faster has succeeded."""
    assert ended["ended_at"] is not None
    if ended["result"] != "succeeded":
        assert ended["result"] in ("failed", "interrupted"), ended
        assert ended["failure"]["code"] != "internal", ended["failure"]
        assert ended["failure"]["detail"], ended
        assert ended["failure"]["hint"], ended


_DRAINING: Final = """
SELECT 1 FROM pg_stat_activity
 WHERE query LIKE '%pg_logical_slot_peek%' AND state = 'active' AND pid <> pg_backend_pid()
"""
_FINISHING: Final = """
SELECT 1 FROM pg_stat_activity WHERE usename = 'warmstandby_apply' AND query = 'ANALYZE' AND state = 'active'
"""
_HOLDING: Final = f"""
SELECT format('%s %s: %s', pid, state, left(query, 60)) FROM pg_stat_activity
 WHERE datname = '{NAME}' AND usename LIKE 'warmstandby%'
   AND (state LIKE 'idle in transaction%' OR backend_xmin IS NOT NULL)
"""
_SESSIONS: Final = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{NAME}' AND usename LIKE 'warmstandby%'"
_APPLYING: Final = """
SELECT format('%s in %s: %s', pid, datname, left(query, 60)) FROM pg_stat_activity WHERE usename = 'warmstandby_apply'
"""
