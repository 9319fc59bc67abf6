"""Notifications while the control database is away: files take its place, and it gets all of them when it is back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab import ports
from lab.cluster import Cluster
from lab.people import ask_once, change_config
from services.standby_controller.notify.spool import FOLDER
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent
from shared.node.model import JournalEntry
from tests.integration.standby_controller.posting import Post, hook_to, lost, mail
from tests.integration.standby_controller.process import running_controller
from tests.integration.standby_controller.receivers import Hook, Mailbox, mail_server, until, webhook_server
from tests.integration.standby_controller.stage import eventually, open_stage
from tests.integration.standby_controller.test_process import make_token
from tests.tier import rounds


def entry(seq: int, step: str, outcome: str, **data: Any) -> JournalEntry:
    """Return a line of the agent's journal."""
    return JournalEntry(
        seq=seq,
        at=datetime.now(UTC),
        transition_id="t1",
        kind="failover",
        step=step,
        outcome=outcome,
        detail="",
        data=data,
    )


def kinds_of(hook: Hook) -> list[str]:
    """Return what a receiver was told, in order."""
    return [json.loads(body)["type"].removeprefix("warmstandby.") for body in hook.bodies()]


@pytest.mark.parametrize("is_hanging", rounds([False], [False, True]), ids=lambda one: "hanging" if one else "down")
async def test_a_failover_is_told_while_the_database_is_away(
    new_cluster: Callable[..., Cluster], tmp_path: Path, *, is_hanging: bool
) -> None:
    """From the agent's journal; when the database is back it has each event once, and nobody hears it twice."""
    server, hook = new_cluster(), Hook()
    with webhook_server(hook) as http:
        async with open_stage(server.dsn(), tmp_path) as stage:
            it = Post(stage)
            await it.change({"channels": {"hook": hook_to(http)}})
            await it.tell(lost("before"))
            await eventually(lambda: _told(hook, "peer_lost"))
            stage.journal.entries.append(entry(1, "asked", "begun"))
            await eventually(lambda: _told(hook, "transition_begun"))

            await asyncio.to_thread(server.pause if is_hanging else server.kill)
            stage.parts.notifications.watch._begun_seconds -= 60
            stage.journal.entries.append(entry(2, "attempt", "done", epoch=2))
            stage.journal.entries.append(entry(3, "open", "done"))
            now = datetime.now(UTC)
            seen = NewEvent(now, EventKind.PEER_LOST, Severity.CRITICAL, "x", "x\0 is \ud800 lost", {"odd": "\0"})
            for recorded in (seen, seen):
                stage.parts.notifications.office._recorder.add_event(recorded)
            await eventually(lambda: _told(hook, "transition_done"), within_seconds=30)
            await eventually(lambda: _told(hook, "peer_lost", 2))
            assert list((tmp_path / FOLDER).glob("[0-9]*.json"))
            told = kinds_of(hook)

            await asyncio.to_thread(server.resume if is_hanging else server.start)
            await eventually(lambda: _is_empty(tmp_path), within_seconds=30)
            events = {
                kind: (await stage.get(f"/v1/events?kind={kind}"))["items"]
                for kind in ("transition_begun", "transition_done", "peer_lost")
            }
            assert {kind: len(items) for kind, items in events.items()} == {
                "transition_begun": 1,
                "transition_done": 1,
                "peer_lost": 2,
            }
            assert {one["state"] for one in await it.items()} == {"sent"}
            await it.tell(lost("after"))
            await eventually(lambda: _told(hook, "peer_lost", 3))
    assert [kind for kind in kinds_of(hook) if kind != "channel_working"] == [*told, "peer_lost"]
    ids = [json.loads(body)["id"] for body in hook.bodies()]
    assert len(set(ids)) == len(ids)
    assert "pair/0/transition_done/t1-3-transition_done" in ids


async def _told(hook: Hook, kind: str, times: int = 1) -> bool:
    return kinds_of(hook).count(kind) >= times


async def _is_empty(folder: Path) -> bool:
    return not list((folder / FOLDER).glob("[0-9]*.json"))


async def test_what_flaps_while_the_database_is_away_is_folded_too(
    new_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    """And is held on when the database takes it over."""
    server, hook = new_cluster(), Hook()
    with webhook_server(hook) as http:
        async with open_stage(server.dsn(), tmp_path) as stage:
            it = Post(stage)
            await it.change({"channels": {"hook": hook_to(http)}})
            await it.tell(lost())
            await eventually(lambda: _told(hook, "peer_lost"))
            await asyncio.to_thread(server.kill)
            for _ in range(30):
                stage.parts.notifications.office._recorder.add_event(lost())

            async def are_files() -> bool:
                return len(list((tmp_path / FOLDER).glob("[0-9]*.json"))) == 30

            await eventually(are_files)
            await asyncio.to_thread(server.start)
            await eventually(lambda: _is_empty(tmp_path), within_seconds=30)
            assert [one["state"] for one in await it.items()] == ["sent", *["held"] * 30]
            await it.hurry()
            await eventually(lambda: _told(hook, "peer_lost", 2))
            await it.are(*["sent"] * 2, query="&state=sent")
            assert [one["repeats"] for one in await it.items("&state=sent")] == [{}, {"peer_lost": 30}]
    assert kinds_of(hook) == ["peer_lost"] * 2


def test_a_controller_that_is_killed_loses_no_letter(new_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """Killed with the database away and the mail server too; the next process sends what the first has seen."""
    server, mailbox, port = new_cluster(), Mailbox(), ports.reserve_port()
    with running_controller(tmp_path, server.dsn(), {}) as service:
        service.wait_ready(path="/health/live")
        token = make_token(service)
        change_config(service.url, token, {"notifications": {"channels": {"ops": mail(port)}}})
        server.kill()
        service.kill()
        service.start()
        folder = tmp_path / FOLDER
        files = until(lambda: list(folder.glob("[0-9]*-*.json")))
        service.kill()
        keys = {file.stem.rpartition("-")[2] for file in files}
        assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
        with mail_server(mailbox, port=port):
            service.start()
            until(lambda: keys <= {_key(letter) for _, letter in mailbox.letters}, 40)
            server.start()
            until(lambda: not list(folder.glob("[0-9]*.json")), 40)
            shown = ask_once(service.url, token, "GET", "/v1/notifications?state=sent").json()["items"]
            assert keys <= {one["event_id"].rpartition("/")[2] for one in shown}
        sent = [_key(letter) for _, letter in mailbox.letters]
        assert [key for key in keys if sent.count(key) != 1] == []
    ports.release_port(port)


def _key(letter: Any) -> str:
    return str(letter["Message-ID"]).partition("@")[0].rpartition("/")[2]
