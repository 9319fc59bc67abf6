"""How long a takeover takes from its decision until the probe that load balancers ask says that the node serves."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from bench.accounts import Accounts
from bench.model import Case, Group, Round, Sizes
from lab.cluster import Cluster
from lab.node import Node
from lab.node_toml import Document
from lab.pair import Pair
from lab.people import NO_TLS, ApiError, Json, ask_once, change_config

DATABASE: Final = "ours"
ROWS: Final = 10_000
ROUNDS: Final = 5
SOON: Final[Document] = {
    "agent": {"heartbeat_seconds": 0.5},
    "controller": {"heartbeat_seconds": 0.5, "heartbeat_timeout_seconds": 0.5},
}
FAILOVER: Final[Json] = {"failover": {"recheck_seconds": 0.25, "failures": 3}}


@dataclass(frozen=True, slots=True)
class Theatre:
    """Where pairs are made, one for each host that dies."""

    folder: Path
    major: int
    numbers: Iterator[int] = field(default_factory=itertools.count)


def groups_of(sizes: Sizes) -> tuple[Group[Any], ...]:
    """Return the one figure."""
    case = Case("decision to promote until /active answers 200", promote, wanted=1.0, rounds=ROUNDS)
    return (Group(lambda folder: open_theatre(folder, sizes), (case,)),)


@asynccontextmanager
async def open_theatre(folder: Path, sizes: Sizes) -> AsyncIterator[Theatre]:
    """Give the folder of the pairs."""
    yield Theatre(folder, sizes.major)


async def promote(theatre: Theatre) -> Round:
    """Kill the active host of a new pair, and watch the standby's probe; no hooks."""
    folder = theatre.folder / f"pair-{next(theatre.numbers)}"
    with (
        Cluster.create(folder / "source", major=theatre.major) as source,
        Cluster.create(folder / "target", major=theatre.major) as target,
    ):
        source.start()
        target.start()
        source.psql(f"CREATE DATABASE {DATABASE}")
        Accounts(ROWS).fill(source, DATABASE, with_rows=True)
        with Pair.create(folder / "pair", source, target, databases=[DATABASE], settings=SOON) as pair:
            await asyncio.to_thread(pair.start)
            for node in pair.nodes:
                await asyncio.to_thread(change_config, node.controller_url, node.token, FAILOVER)
            await pair.sync()
            standby = pair.secondary
            await _until(lambda: _is_protected(standby), "the pair is protected")
            killed = datetime.now(UTC)
            await asyncio.to_thread(pair.primary.die)
            answered = await _when_active(standby)
            decided = datetime.fromisoformat((await _status(standby))["role_change"]["started_at"])
    detected = (decided - killed).total_seconds()
    return Round(
        (answered - decided).total_seconds(), note=f"decided {detected:.1f} s after the active host was killed"
    )


async def _when_active(node: Node) -> datetime:
    async with httpx.AsyncClient(base_url=node.agent_url, timeout=1.0, verify=NO_TLS, trust_env=False) as http:

        async def is_active() -> datetime | None:
            return datetime.now(UTC) if (await http.get("/active")).status_code == 200 else None

        at: datetime = await _until(is_active, "the standby is active", pause_seconds=0.01)
        return at


async def _is_protected(node: Node) -> bool:
    return bool((await _status(node))["protected"])


async def _status(node: Node) -> Json:
    answer = await asyncio.to_thread(ask_once, node.controller_url, node.token, "GET", "/v1/status")
    return answer.json()  # type: ignore[no-any-return]


async def _until(is_so: Callable[[], Awaitable[Any]], what: str, *, pause_seconds: float = 0.05) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if found := await is_so():
                return found
        except (ApiError, httpx.HTTPError):
            pass
        await asyncio.sleep(pause_seconds)
    raise TimeoutError(f"not within 60 s: {what}")
