"""The look at the application: a real page and a real program, and when failures count."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.primary_agent.node.application import ApplicationWatch
from shared.node.model import ApplicationHealth
from shared.settings import Settings
from tests.node_file import node_settings


class Hand:
    """A clock that a test moves, and whether the node is active."""

    def __init__(self) -> None:
        self.at = 100.0
        self.is_active = True

    def monotonic(self) -> float:
        return self.at

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


def watch_of(hand: Hand, **application: Any) -> ApplicationWatch:
    settings: Settings = node_settings(application={"start_seconds": 0.0, **application})
    return ApplicationWatch(settings, hand, lambda: hand.is_active)


def seen_by(watch: ApplicationWatch) -> ApplicationHealth:
    health = watch.health()
    assert health is not None
    return health


@pytest.fixture
def hand() -> Hand:
    return Hand()


@asynccontextmanager
async def page(answer: bytes | None) -> AsyncIterator[str]:
    """An application that answers with these bytes, or never."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/health"
    finally:
        over.set()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", ""),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 100, ""),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "HTTP status 503"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP status 404"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "illegal"),
        (b"", "disconnected"),
        (None, "no answer within 0.3 s"),
    ],
)
async def test_a_page_says_whether_the_application_works(hand: Hand, answer: bytes | None, detail: str) -> None:
    async with page(answer) as url:
        watch = watch_of(hand, health_url=url, timeout_seconds=0.3, failures=1)
        await watch.look()
    health = seen_by(watch)
    assert health.is_healthy == (detail == "")
    assert detail in health.detail


async def test_nothing_that_listens_is_down(hand: Hand) -> None:
    watch = watch_of(hand, health_url="http://127.0.0.1:1/", failures=1)
    await watch.look()
    health = seen_by(watch)
    assert (health.is_healthy, health.detail) == (False, "Connection refused")


async def test_a_program_says_whether_the_application_works(hand: Hand, tmp_path: Path) -> None:
    flag = tmp_path / "well"
    watch = watch_of(hand, health_command=("/usr/bin/test", "-e", str(flag)), failures=1)
    await watch.look()
    health = seen_by(watch)
    assert not health.is_healthy
    assert health.detail.startswith("ended with exit code 1")
    flag.touch()
    await watch.look()
    health = seen_by(watch)
    assert (health.is_healthy, health.failures, health.detail) == (True, 0, "")


async def test_a_program_that_hangs_is_killed(hand: Hand) -> None:
    watch = watch_of(hand, health_command=("/bin/sleep", "600"), failures=1, timeout_seconds=0.2)
    async with asyncio.timeout(5):
        await watch.look()
    health = seen_by(watch)
    killed = re.match(r"was killed at its limit after (\d+\.\d) s", health.detail)
    assert killed is not None
    assert 0.2 <= float(killed[1]) < 5


async def test_so_many_failures_in_a_row_mean_down_and_one_good_look_ends_it(hand: Hand, tmp_path: Path) -> None:
    flag = tmp_path / "well"
    watch = watch_of(hand, health_command=("/usr/bin/test", "-e", str(flag)), failures=3)
    seen = []
    for is_well in (True, False, False, True, False, False, False, False, True):
        flag.touch() if is_well else flag.unlink(missing_ok=True)
        await watch.look()
        health = seen_by(watch)
        seen.append((health.is_healthy, health.failures))
    assert seen == [
        (True, 0), (True, 1), (True, 2), (True, 0), (True, 1), (True, 2), (False, 3), (False, 4), (True, 0),
    ]  # fmt: skip


async def test_an_application_has_time_to_start_once(hand: Hand) -> None:
    """Failures count after that time, and at once when it was seen well before."""
    watch = watch_of(hand, health_url="http://127.0.0.1:1/", failures=1, start_seconds=10.0)
    for at, is_healthy in ((100.0, True), (109.9, True), (110.0, False)):
        hand.at = at
        await watch.look()
        health = seen_by(watch)
        assert health.is_healthy == is_healthy


async def test_it_is_looked_at_only_while_the_node_serves(hand: Hand) -> None:
    watch = watch_of(hand, health_url="http://127.0.0.1:1/", failures=1)
    hand.is_active = False
    await watch.look()
    assert watch.health() is None
    hand.is_active = True
    assert watch.health() is None
    await watch.look()
    hand.at += 2.5
    health = seen_by(watch)
    assert (health.is_healthy, health.checked_age_seconds) == (False, 2.5)
    hand.is_active = False
    assert watch.health() is None
    await watch.look()
    hand.is_active = True
    assert watch.health() is None


async def test_without_a_way_to_look_nothing_is_said(hand: Hand) -> None:
    watch = watch_of(hand)
    await watch.look()
    assert watch.health() is None
