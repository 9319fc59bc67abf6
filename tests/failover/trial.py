"""A pair on trial: one fault under load, then what heals it, then the judge; the pair is as at the beginning again.

The judge's rules are numbered as in the list of faults: I1 one node accepts writes, I2 an epoch has one owner and each
promotion a higher one, I3 what a sync covered survives, I6 it ends serving, I7 both sides are equal afterwards, I10 no
exception that nobody handled.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lab import hba
from lab.ledger import Client, overlap_seconds, places_in_order, writing
from lab.node import Node
from lab.people import ApiError, Json
from tests.failover.accidents import Accidents
from tests.failover.links import Links
from tests.failover.stage import DATABASE, Stage

STAYER_PAUSE_SECONDS: Final = 0.05
UNHANDLED: Final = re.compile(r"Traceback|unexpected error|never retrieved")
TERM_TAKEN: Final = (("take_term", "done"), ("prepare_capture", "begun"), ("open", "begun"), ("serve", "begun"))
"""What the journal says of a promotion that has happened; a death may keep it from saying the first."""


@dataclass(slots=True)
class Trial:
    """One fault: who was active and who standby when it began, and the clients that wrote all the time."""

    stage: Stage
    accidents: Accidents
    active: Node
    standby: Node
    promotions: int
    loses_nothing: bool
    follower: Client
    stayer: Client
    log_starts: dict[Path, int] = field(default_factory=dict)
    journal_starts: dict[str, int] = field(default_factory=dict)
    highest_epoch: int = 0
    may_overlap_seconds: float = 0.0

    async def stays(self, seconds: float) -> None:
        """Let time pass in which nothing may happen: the active node serves on, the standby stays one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert await self.stage.state(self.standby) in ("standby", "gone"), await self.stage.describe()
            await asyncio.sleep(0.1)

    async def sees(self, node: Node, kind: str, seconds: float = 40.0) -> Json:
        """Wait until a node's controller has told an event since the trial began; return it."""

        async def is_told() -> Json | None:
            events = (await self.stage.ask(node, "GET", "/v1/events?limit=100"))["items"]
            return next((event for event in events if event["kind"] == kind), None)

        found: Json = await self.stage.until(is_told, f"{node.name} tells {kind}", seconds)
        return found

    async def writes_on(self, client: Client | None = None) -> None:
        """Wait until a client has a write acknowledged that began after this moment."""
        client, now = client or self.follower, time.monotonic()

        async def is_so() -> bool:
            return bool(client.accepted) and client.accepted[-1].begun > now

        try:
            await self.stage.until(is_so, f"{client.name} writes on")
        except AssertionError as error:
            raise AssertionError(f"{client.name} failed last with {client.last_failure}\n{error}") from None

    # The judge --------------------------------------------------------------------------------------------------------

    def terms(self) -> list[tuple[int, str]]:
        """Return the terms that were taken since the trial began, by the nodes' journals, in their order."""
        found: dict[tuple[int, str], str] = {}
        for node in (self.active, self.standby):
            entries = _journal(node)[self.journal_starts[node.name] :]
            epochs = {
                entry["transition_id"]: int(entry["data"]["epoch"])
                for entry in entries
                if "epoch" in entry.get("data", {})
            }
            for entry in entries:
                if (entry["step"], entry["outcome"]) in TERM_TAKEN:
                    term = (epochs[entry["transition_id"]], node.name)
                    found[term] = min(found.get(term, entry["at"]), entry["at"])
        return sorted(found, key=lambda term: found[term])

    def check_terms(self) -> None:
        """I2: as many promotions as the fault deserves, each with a higher epoch of its owner's class."""
        terms = self.terms()
        assert len(terms) == self.promotions, f"terms taken: {terms}"
        numbers = {node.name: node.number for node in (self.active, self.standby)}
        before = self.highest_epoch
        for epoch, owner in terms:
            assert epoch > before, f"terms taken: {terms} after {before}"
            assert epoch % 16 == numbers[owner], f"terms taken: {terms}"
            before = epoch

    def check_places(self) -> None:
        """I1: writes were accepted by one node after the other, as often as a term was taken."""
        places = places_in_order(self.stage.accepted)
        if self.may_overlap_seconds:
            overlap = overlap_seconds(self.stage.accepted)
            assert overlap <= self.may_overlap_seconds, f"both served for {overlap:.1f} s"
        else:
            assert len(places) <= 1 + self.promotions, f"writes were accepted by {places}"

    def check_logs(self) -> None:
        """I10: nothing that nobody expected."""
        for node in (self.active, self.standby):
            for service in node.services:
                text = service.log_text()[self.log_starts[service.log] :]
                found = UNHANDLED.search(text)
                assert not found, f"log of the {service.name}: {text[max(0, found.start() - 500) :][:4000]}"


class Trials:
    """The trials of one stage."""

    def __init__(self, stage: Stage, accidents: Accidents, links: Links | None) -> None:
        self.stage = stage
        self.accidents = accidents
        self._links = links

    @property
    def links(self) -> Links:
        """The network, where the file asks for one that can be cut."""
        assert self._links is not None, "LINKED = True is missing"
        return self._links

    @asynccontextmanager
    async def trial(self, *, promotions: int = 0, loses_nothing: bool | None = None) -> AsyncIterator[Trial]:
        """Have clients write and a fault happen in the block; then heal, and judge."""
        trial = await self._begin(promotions, promotions == 0 if loses_nothing is None else loses_nothing)
        begun = time.monotonic()
        other = self.stage.client_at(trial.standby)
        for client in (trial.stayer, other):
            client.pause_seconds = STAYER_PAUSE_SECONDS
        async with writing(trial.follower, trial.stayer, other):
            await trial.writes_on()
            await trial.writes_on(trial.stayer)
            await self.stage.sync(trial.standby)
            await trial.writes_on()
            synced = time.monotonic()
            yield trial
            happened = time.monotonic()
            covered_until = time.monotonic() if trial.loses_nothing else self.stage.synced_at
            active = await self.heal()
            await trial.writes_on()
        healed = time.monotonic()
        await self.stage.is_protected_after_sync(self.stage.other(active))
        ended = time.monotonic()
        took = [begun, synced, happened, healed, ended]
        print("ready, fault, healed, protected after", [f"{b - a:.1f} s" for a, b in itertools.pairwise(took)])
        self.stage.check_covered(active, covered_until)
        self.stage.check_equal()
        trial.check_places()
        trial.check_terms()
        trial.check_logs()

    async def all_happen(self, node: Node, steps: Sequence[str]) -> None:
        """Wait until the accidents at all of these steps have begun."""

        async def is_so() -> bool:
            return all(self.accidents.has_happened(node, step) for step in steps)

        await self.stage.until(is_so, f"accidents at {', '.join(steps)}")

    async def heal(self) -> Node:
        """Switch everything on, let the node that was out return, and give the one that serves."""
        stage = self.stage
        if self._links is not None:
            await self._links.heal()
        for node in stage.pair.nodes:
            await self.switch_on(node)

        async def one_serves() -> Node | None:
            states = {node.name: await stage.state(node) for node in stage.pair.nodes}
            active = [node for node in stage.pair.nodes if states[node.name] == "active"]
            return active[0] if len(active) == 1 and states[stage.other(active[0]).name] != "demoting" else None

        active: Node = await stage.until(one_serves, "one node serves")
        await self.let_return(stage.other(active))
        return active

    async def switch_on(self, node: Node) -> None:
        """Start and resume whatever of a host does not run; a server starts closed, as its unit would have it."""
        if node.cluster.is_running:
            node.cluster.resume()
        else:
            hba.close(node.cluster.data, [DATABASE])
            await asyncio.to_thread(node.cluster.start)
        for service in node.services:
            if service.is_running:
                service.resume()
            service.start()

    async def let_return(self, node: Node) -> None:
        """Have a fenced node follow again: by itself where it is clean, else because somebody says so."""
        stage = self.stage

        async def follows() -> bool:
            if await stage.state(node) == "fenced":
                with contextlib.suppress(ApiError):
                    await stage.ask(node, "POST", "/v1/resync", {"reason": "trial"})
                await asyncio.sleep(0.25)
            change = (await stage.status(node))["role_change"]
            return await stage.state(node) == "standby" and (change is None or change["ended_at"])

        await stage.until(follows, f"{node.name} follows again")

    async def _begin(self, promotions: int, loses_nothing: bool) -> Trial:
        stage = self.stage
        self.accidents.clear()
        stage.clients.clear()
        active = stage.primary if await stage.state(stage.primary) == "active" else stage.secondary
        standby = stage.other(active)
        trial = Trial(
            stage, self.accidents, active, standby, promotions, loses_nothing, stage.client(), stage.client_at(active)
        )
        for node in (active, standby):
            trial.journal_starts[node.name] = len(_journal(node))
            for service in node.services:
                trial.log_starts[service.log] = len(service.log_text())
            trial.highest_epoch = max(trial.highest_epoch, (await stage.record(node))["term"]["epoch"])
        return trial


def _journal(node: Node) -> list[Json]:
    path = node.config.parent / "state" / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
