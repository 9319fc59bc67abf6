"""Tokens, the pair's configuration, heartbeats and events on a real server; and a server that dies and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lab.cluster import Cluster
from services.standby_controller.known_pair import KnownPair
from services.standby_controller.pair_document import parse_document
from services.standby_controller.severity import Severity
from services.standby_controller.store import database as store
from services.standby_controller.store.database import Database, open_database
from services.standby_controller.store.events import EventFilter, EventKind, Events, NewEvent
from services.standby_controller.store.heartbeats import HeartbeatFilter, HeartbeatRecord, Heartbeats
from services.standby_controller.store.history import History
from services.standby_controller.store.pair_config import PairConfig
from services.standby_controller.store.records import Failure, SyncRequest, SyncResult, Trigger
from services.standby_controller.store.tokens import Role, Tokens
from shared.errors import (
    CredentialError,
    CredentialExpired,
    DatabaseUnreachable,
    NameTaken,
    NotFound,
    PreconditionFailed,
)
from shared.node.model import State

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def test_a_token_is_known_by_its_secret_alone(control: Database) -> None:
    """And the database holds nothing that would open the API."""
    tokens = Tokens(control, KnownPair("b"), "b")
    token, secret = await tokens.create("grafana", Role.VIEWER, NOON, None)
    assert (await tokens.check(secret, NOON)).id == token.id
    rows = await control.fetch("SELECT t::text AS text FROM control.tokens t")
    assert secret.split("_", 2)[2] not in str([row["text"] for row in rows])
    for wrong in (
        "",
        "wst_",
        secret[:-1],
        secret + "x",
        f"wst_{token.id}_",
        secret.replace(token.id, "0" * 12),
        "x" + secret,
        "wst_\0_x",
    ):
        with pytest.raises(CredentialError):
            await tokens.check(wrong, NOON)


async def test_a_token_ends_by_itself_or_by_hand(control: Database) -> None:
    """At its second, and at once."""
    tokens = Tokens(control, KnownPair("b"), "b")
    token, secret = await tokens.create("a", Role.ADMIN, NOON, NOON + timedelta(days=1))
    await tokens.check(secret, NOON + timedelta(hours=23))
    with pytest.raises(CredentialExpired):
        await tokens.check(secret, NOON + timedelta(days=1))
    with pytest.raises(NameTaken):
        await tokens.create("a", Role.VIEWER, NOON, None)
    await tokens.delete(token.id, NOON)
    with pytest.raises(CredentialError):
        await tokens.check(secret, NOON)
    with pytest.raises(NotFound):
        await tokens.delete(token.id, NOON)


async def test_the_last_use_of_a_token_is_noted_once_a_minute(control: Database) -> None:
    """So that a busy dashboard does not write with every request."""
    tokens = Tokens(control, KnownPair("b"), "b")
    _, secret = await tokens.create("a", Role.VIEWER, NOON, None)
    for seconds in (0, 30, 59, 61):
        await tokens.check(secret, NOON + timedelta(seconds=seconds))
    (token,) = (await tokens.list_tokens(10, None)).items
    assert token.last_used_at == NOON + timedelta(seconds=61)


async def test_tokens_come_in_pages_by_name(control: Database) -> None:
    """Each once."""
    tokens = Tokens(control, KnownPair("b"), "b")
    for name in ("b", "a", "C", "d"):
        await tokens.create(name, Role.VIEWER, NOON, None)
    first = await tokens.list_tokens(3, None)
    second = await tokens.list_tokens(3, first.next_cursor)
    assert [token.name for token in (*first.items, *second.items)] == ["C", "a", "b", "d"]
    assert second.next_cursor is None


async def test_the_configuration_is_changed_by_compare_and_set(control: Database) -> None:
    """Of two changes made from one version, one wins, and both are seen in the events."""
    events = Events(control, "b")
    config = PairConfig(control, events, KnownPair("b"), "b")
    base = await config.read(NOON)
    assert (base.version.etag, config.known.sync.interval_seconds) == ('"0.1"', 3600)
    changes = [parse_document({"sync": {"run_every": value}}) for value in ("PT2H", "PT150M")]
    answers = await asyncio.gather(
        *(config.replace(base, change, epoch=17, changed_by="me", now=NOON) for change in changes),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers if isinstance(answer, BaseException)] == [PreconditionFailed]
    now = await config.read(NOON)
    assert now.version.etag == '"17.2.b"'
    assert config.known == now.document
    (event,) = (await events.list_events(EventFilter(), 10, None)).items
    assert event.event.kind is EventKind.CONFIG_CHANGED
    assert event.event.data["after"]["sync"]["run_every"] == now.document.sync.run_every


async def test_two_first_readers_write_one_document(control: Database) -> None:
    """The defaults are written once."""
    config = PairConfig(control, Events(control, "b"), KnownPair("b"), "b")
    versions = {stored.version.etag for stored in await asyncio.gather(*(config.read(NOON) for _ in range(5)))}
    assert versions == {'"0.1"'}


async def test_heartbeats_are_listed_and_trimmed(control: Database) -> None:
    """By age and by number."""
    heartbeats = Heartbeats(control)
    look = HeartbeatRecord("a", NOON, "ok", State.ACTIVE, 1, 0.01, -0.1, 0.1)
    await heartbeats.add([replace(look, at=NOON + timedelta(seconds=second)) for second in range(10)])
    await heartbeats.add([HeartbeatRecord("c", NOON, "peer_unreachable")])
    page = await heartbeats.list_heartbeats(HeartbeatFilter(peer="a"), 4, None)
    rest = await heartbeats.list_heartbeats(HeartbeatFilter(peer="a"), 100, page.next_cursor)
    assert [record.at.second for record in (*page.items, *rest.items)] == list(range(9, -1, -1))
    silent = await heartbeats.list_heartbeats(HeartbeatFilter(result="peer_unreachable"), 10, None)
    assert silent.items == (HeartbeatRecord("c", NOON, "peer_unreachable"),)
    assert await heartbeats.trim(NOON + timedelta(days=1, seconds=5), 1, 1000) == 6
    assert await heartbeats.trim(NOON, 1, 3) == 2


async def test_events_are_followed_without_a_gap(control: Database) -> None:
    """A program that polls with the last id misses none."""
    events = Events(control, "b")
    for number in range(5):
        await events.add(NewEvent(NOON, EventKind.PEER_LOST, Severity.CRITICAL, "a", f"event {number}"))
    newest = (await events.list_events(EventFilter(), 10, None)).items
    assert [record.event.text for record in newest] == [f"event {number}" for number in (4, 3, 2, 1, 0)]
    after = await events.list_after(await events.place_of(newest[3].id), EventFilter(), 2)
    assert [record.event.text for record in after] == ["event 2", "event 3"]
    assert await events.list_after(await events.place_of(newest[0].id), EventFilter(), 10) == ()
    assert await events.trim(NOON + timedelta(days=2), 1) == 5


async def test_what_other_programs_said_is_recorded_whatever_it_is(control: Database) -> None:
    """A text that PostgreSQL cannot hold must not keep a sync from ending, or an event from being told."""
    events, history = Events(control, "b"), History(control, "b")
    odd = "nul \0, half a pair \ud800, é"
    await events.add(NewEvent(NOON, EventKind.SYNC_FAILED, Severity.WARNING, odd, odd))
    sync, _ = await history.begin(SyncRequest(Trigger.REQUEST, None, None, "a", 1), NOON)
    await history.end(sync, SyncResult.FAILED, Failure("sync_failed", odd, odd), NOON)
    failure = (await history.read(sync.id)).failure
    assert failure == Failure("sync_failed", "nul , half a pair ?, é", "nul , half a pair ?, é")


async def test_the_store_outlives_a_server_that_is_killed(new_cluster: Callable[..., Cluster]) -> None:
    """Every use says that the database is away, a known token still opens the status, and afterwards all is well."""
    server = new_cluster()
    async with open_database(server.dsn()) as control:
        await control.prepare()
        known = KnownPair("b")
        tokens, heartbeats = Tokens(control, known, "b"), Heartbeats(control)
        _, secret = await tokens.create("a", Role.VIEWER, NOON, None)
        await known.take(await PairConfig(control, Events(control, "b"), known, "b").read_book(NOON))
        await tokens.check(secret, NOON)
        for _ in range(2):
            server.kill()
            for _ in range(3):
                with pytest.raises(DatabaseUnreachable):
                    await heartbeats.add([HeartbeatRecord("a", NOON, "ok")])
            assert (await tokens.check(secret, NOON + timedelta(days=5))).name == "a"
            with pytest.raises(CredentialError):
                await tokens.check(secret + "x", NOON)
            server.start()
            await heartbeats.add([HeartbeatRecord("a", NOON, "ok")])
            await tokens.check(secret, NOON)


async def test_nothing_is_read_before_the_schema_is_known(control_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of a newer release must not be used by this one; who comes too early waits, and not for ever."""
    monkeypatch.setattr(store, "FIRST_SECONDS", 0.2)
    async with open_database(control_dsn) as control:
        with pytest.raises(DatabaseUnreachable, match="not reached yet"):
            await Heartbeats(control).list_heartbeats(HeartbeatFilter(), 1, None)
