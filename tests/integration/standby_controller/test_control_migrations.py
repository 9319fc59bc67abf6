"""A control database of an earlier release: its tokens, settings and history are there after the update."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from lab.cluster import Cluster
from lab.database import Database
from services.standby_controller.known_pair import KnownPair
from services.standby_controller.severity import Severity
from services.standby_controller.store.database import MIGRATIONS, open_database
from services.standby_controller.store.events import EventFilter, EventKind, Events, NewEvent
from services.standby_controller.store.history import History
from services.standby_controller.store.history_log import HistoryLog, Place
from services.standby_controller.store.pair_config import PairConfig
from services.standby_controller.store.records import SyncResult
from services.standby_controller.store.tokens import Role, Tokens
from services.standby_controller.store.transitions import Transitions
from shared.postgres.migrations import load_migrations

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BEFORE = """
INSERT INTO control.tokens VALUES ('t1', 'ann', 'admin', sha256('x'), '2026-01-01Z', NULL, NULL);
INSERT INTO control.pair_config VALUES (true, 1, 7, '{"sync": {"enabled": false}}', '2026-01-01Z', 'ann');
INSERT INTO control.events (node, at, kind, severity, text) VALUES
    ('b', '2026-01-01Z', 'peer_lost', 'critical', 'first'), ('b', '2026-01-02Z', 'peer_back', 'info', 'second');
INSERT INTO control.syncs (node, trigger, started_at, ended_at, result) VALUES
    ('b', 'request', '2026-01-01Z', '2026-01-01Z', 'succeeded'), ('b', 'request', '2026-01-03Z', NULL, 'running');
"""


async def test_what_the_first_release_kept_is_kept(cluster: Cluster, database: Callable[..., Database]) -> None:
    """Ids stay; what was over is read by the peers, what runs is when it ends."""
    target = database(cluster)
    (first, *_) = load_migrations(MIGRATIONS)
    target.psql(
        "CREATE SCHEMA control;"
        "CREATE TABLE control.migrations (version int PRIMARY KEY, name text, applied_at timestamptz DEFAULT now());"
        f"{first.script} INSERT INTO control.migrations VALUES (1, 'control'); {BEFORE}"
    )
    async with open_database(target.dsn) as control:
        await control.prepare()
        events, history = Events(control, "b"), History(control, "b")
        log = HistoryLog(control, Transitions(control, events, "b", None))
        config = PairConfig(control, events, KnownPair("b"), "b")
        book = await config.read_book(NOON)
        assert (book.settings.version.etag, book.settings.document) == ('"1.7"', {"sync": {"enabled": False}})
        assert [(token.id, token.made_on, token.deleted_at) for token in book.tokens] == [("t1", "", None)]
        page = await log.read_after(Place())
        assert [(item.kind, item.change) for item in page.items] == [("event", 1), ("event", 2), ("sync", 3)]
        (orphan,) = await history.interrupt_orphans(NOON)
        assert (orphan.id, orphan.result) == ("b.0000000002", SyncResult.INTERRUPTED)
        await events.add(NewEvent(NOON, EventKind.PEER_LOST, Severity.INFO, None, "third"))
        page = await log.read_after(page.reached)
        assert [item.kind for item in page.items] == ["sync", "event"]
        newest = (await events.list_events(EventFilter(kind=EventKind.PEER_LOST), 10, None)).items
        assert [record.id for record in newest] == ["b.0000000003", "b.0000000001"]
        token, _ = await Tokens(control, KnownPair("b"), "b").create("bob", Role.VIEWER, NOON, None)
        assert token.made_on == "b"
