"""Events as a stream: nothing missed and nothing repeated across reconnects, restarts and a stop."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from lab.cluster import Cluster
from lab.database import Database
from lab.people import ask_once
from services.standby_controller.severity import Severity
from services.standby_controller.store.database import open_database
from services.standby_controller.store.events import EventKind, Events, NewEvent
from tests.integration.standby_controller.process import running_controller
from tests.integration.standby_controller.stage import open_stage
from tests.integration.standby_controller.test_process import make_token
from tests.tier import MAJORS

STREAM = {"Accept": "text/event-stream"}


@asynccontextmanager
async def follow(
    url: str, token: str, last: str | None, query: str = ""
) -> AsyncIterator[AsyncIterator[tuple[str, str]]]:
    """Follow the events after one; gives pairs of id and text."""
    headers = {**STREAM, "Authorization": f"Bearer {token}"} | ({} if last is None else {"Last-Event-ID": last})
    async with (
        httpx.AsyncClient(timeout=20, trust_env=False) as http,
        http.stream("GET", f"{url}/v1/events{query}", headers=headers) as response,
    ):
        assert response.status_code == 200, await response.aread()
        assert response.headers["Content-Type"].startswith("text/event-stream")

        async def events() -> AsyncIterator[tuple[str, str]]:
            found = ""
            async for row in response.aiter_lines():
                if row.startswith("id: "):
                    found = row.removeprefix("id: ")
                elif row.startswith("data: "):
                    yield found, json.loads(row.removeprefix("data: "))["text"]

        yield events()


@pytest.fixture
def dsn(shared_cluster: Callable[[int, str], Cluster], database: Callable[..., Database]) -> str:
    """A control database."""
    return str(database(shared_cluster(MAJORS[-1], "source")).dsn)


async def test_a_reader_that_comes_back_misses_nothing_and_gets_nothing_twice(dsn: str, tmp_path: Path) -> None:
    """While events of both nodes come from several writers, and the controller is restarted in between."""
    with running_controller(tmp_path, dsn, {}) as service:
        await asyncio.to_thread(service.wait_ready, path="/health/live")
        token = await asyncio.to_thread(make_token, service)
        async with open_database(dsn) as opened:
            await opened.prepare()
            seen: list[str] = []
            last: str | None = None

            async def write(node: str, count: int) -> None:
                events = Events(opened, node)
                for number in range(count):
                    text = f"{node} {number}"
                    await events.add(NewEvent(datetime.now(UTC), EventKind.PEER_LOST, Severity.CRITICAL, "x", text))
                    await asyncio.sleep(0.01)

            async def read(count: int) -> None:
                nonlocal last
                async with follow(service.url, token, last, "?kind=peer_lost&subject=x") as events, asyncio.timeout(20):
                    async for event_id, text in events:
                        last = event_id
                        seen.append(text)
                        if len(seen) >= count:
                            return

            async with asyncio.TaskGroup() as group:
                reader = group.create_task(read(20))
                await asyncio.sleep(1)
                for node in ("a", "b", "c"):
                    group.create_task(write(node, 40))
                await reader
                await read(50)
            await asyncio.to_thread(service.restart)
            await asyncio.to_thread(service.wait_ready, path="/health/live")
            await write("d", 5)
            await read(125)
            expected = [f"{node} {number}" for node in "abc" for number in range(40)] + [f"d {n}" for n in range(5)]
            assert sorted(seen) == sorted(expected)
            for node in "abc":
                assert [text for text in seen if text[0] == node] == [f"{node} {number}" for number in range(40)]


async def test_a_stream_ends_with_the_service(dsn: str, tmp_path: Path) -> None:
    """A stop is quick although somebody follows, and the answer ends properly; without a token there is none."""
    with running_controller(tmp_path, dsn, {}) as service:
        await asyncio.to_thread(service.wait_ready, path="/health/live")
        token = await asyncio.to_thread(make_token, service)
        refused = await asyncio.to_thread(httpx.get, f"{service.url}/v1/events", headers=STREAM)
        assert (refused.status_code, refused.json()["code"]) == (401, "credential_missing")
        async with follow(service.url, token, None) as events:
            started = time.monotonic()
            stopping = asyncio.ensure_future(asyncio.to_thread(service.stop))
            async with asyncio.timeout(10):
                assert [one async for one in events] == []
            await stopping
            assert (service.exit_code, time.monotonic() - started < 4) == (0, True)


async def test_a_stream_ends_with_its_token(dsn: str, tmp_path: Path) -> None:
    """Who deletes a token means at once."""
    with running_controller(tmp_path, dsn, {}) as service:
        await asyncio.to_thread(service.wait_ready, path="/health/live")
        admin = await asyncio.to_thread(make_token, service)
        demand = {"name": "guest", "role": "viewer"}
        guest = (await asyncio.to_thread(ask_once, service.url, admin, "POST", "/v1/tokens", json=demand)).json()
        async with follow(service.url, guest["secret"], None) as events, asyncio.timeout(5):
            await asyncio.to_thread(ask_once, service.url, admin, "DELETE", f"/v1/tokens/{guest['id']}")
            assert [text async for _, text in events] in ([], ["test deleted the token guest"])


async def test_a_stream_begins_now_or_after_an_event(newest_dsn: str, tmp_path: Path) -> None:
    """And an id of another shape is refused."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        answer = await stage.http.get("/v1/events", headers={**stage.auth(), **STREAM, "Last-Event-ID": "x"})
        assert (answer.status_code, answer.json()["code"]) == (422, "list_cursor_invalid")
        first = NewEvent(datetime.now(UTC), EventKind.PEER_BACK, Severity.INFO, "x", "first")
        await stage.parts.events.add(first)
        (record,) = (await stage.get("/v1/events?kind=peer_back"))["items"]
        assert (await stage.get(f"/v1/events?after={record['id']}&kind=peer_back"))["items"] == []
        await stage.parts.events.add(replace(first, key="another"))
        (later,) = (await stage.get(f"/v1/events?after={record['id']}&kind=peer_back"))["items"]
        assert later["id"] > record["id"]
