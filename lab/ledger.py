"""Clients that write numbered rows all the time and note each one that was acknowledged, to judge afterwards.

A client goes to one server for ever, by a session that was open before any fault, or wherever a probe says.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import httpx

from lab.people import NO_TLS

TABLE: Final = "ledger"
CREATE: Final = f"""
    CREATE TABLE {TABLE} (
        id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        writer  text   NOT NULL,
        number  bigint NOT NULL,
        note    text   NOT NULL DEFAULT '',
        UNIQUE (writer, number)
    )
"""
ADD: Final = f"INSERT INTO {TABLE} (writer, number) VALUES ($1, $2)"
WAIT_SECONDS: Final = 1.0
_FAILED: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A row that a server acknowledged; times are monotonic seconds."""

    place: str
    writer: str
    number: int
    begun: float
    ended: float


Place = tuple[str, str]
"""A server's name and the URL of the database there."""


@dataclass(slots=True)
class Client:
    """One writer; `where` says to which server it connects next, None for nowhere."""

    name: str
    where: Callable[[], Awaitable[Place | None]]
    pause_seconds: float = 0.01
    accepted: list[Accepted] = field(default_factory=list)
    failures: int = 0
    last_failure: str = ""

    async def run(self) -> None:
        """Write until cancelled."""
        numbers = itertools.count(1)
        connection: asyncpg.Connection[asyncpg.Record] | None = None
        place = ""
        try:
            while True:
                try:
                    if connection is None:
                        found = await self.where()
                        if found is None:
                            await asyncio.sleep(self.pause_seconds)
                            continue
                        place, url = found
                        connection = await asyncpg.connect(url, timeout=WAIT_SECONDS, command_timeout=WAIT_SECONDS)
                    number, begun = next(numbers), time.monotonic()
                    await connection.execute(ADD, self.name, number)
                    self.accepted.append(Accepted(place, self.name, number, begun, time.monotonic()))
                except _FAILED as error:
                    self.failures += 1
                    self.last_failure = f"{type(error).__name__}: {error}"
                    if connection is not None:
                        connection.terminate()
                    connection = None
                await asyncio.sleep(self.pause_seconds)
        finally:
            if connection is not None:
                connection.terminate()


def stay_at(place: str, url: str) -> Callable[[], Awaitable[Place | None]]:
    """Go to one server, whatever happens to it."""

    async def where() -> Place | None:
        return place, url

    return where


def follow_probe(places: Mapping[str, tuple[str, str]]) -> Callable[[], Awaitable[Place | None]]:
    """Go where `/active` answers 200; `places` gives the URL of the service to be asked, and of the database."""

    async def where() -> Place | None:
        async with httpx.AsyncClient(timeout=0.5, verify=NO_TLS, trust_env=False) as http:
            for name, (service_url, url) in places.items():
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(f"{service_url}/active")).status_code == 200:
                        return name, url
        return None

    return where


@asynccontextmanager
async def writing(*clients: Client) -> AsyncIterator[None]:
    """Have clients write for the time of a block."""
    tasks = [asyncio.create_task(client.run(), name=client.name) for client in clients]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def places_in_order(accepted: Iterable[Accepted]) -> list[str]:
    """Return where writes were accepted, one entry for each change of place, by the time of the acknowledgement."""
    ordered = sorted(accepted, key=lambda write: write.ended)
    return [place for place, _ in itertools.groupby(write.place for write in ordered)]


def overlap_seconds(accepted: Iterable[Accepted]) -> float:
    """Return for how long two places accepted writes side by side: what changes to and fro took, above one change."""
    ordered = sorted(accepted, key=lambda write: write.ended)
    changes = [after.ended for before, after in itertools.pairwise(ordered) if before.place != after.place]
    return changes[-1] - changes[0] if len(changes) > 1 else 0.0


def longest_gap_seconds(accepted: Iterable[Accepted]) -> float:
    """Return the longest time between two acknowledged writes."""
    ended = sorted(write.ended for write in accepted)
    return max((after - before for before, after in itertools.pairwise(ended)), default=0.0)
