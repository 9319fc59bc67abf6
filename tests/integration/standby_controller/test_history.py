"""The history of syncs on a real server: one at a time, never rewritten, listed in pages, trimmed with care."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.standby_controller.store.database import Database
from services.standby_controller.store.history import History
from services.standby_controller.store.records import (
    ComponentRecord,
    Failure,
    SyncFilter,
    SyncRecord,
    SyncRequest,
    SyncResult,
    Trigger,
)
from shared.errors import CursorInvalid, NotFound, SyncRunning
from shared.node.model import UnkeptTable
from shared.replication.model import SyncKind, SyncPoint

NOON = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
REQUEST = SyncRequest(Trigger.REQUEST, "admin", None, "a", 1)
FAILURE = Failure("sync_failed", "the disk is full", "Make room.")


@pytest.fixture
def history(control: Database) -> History:
    return History(control, "b")


async def _finished(
    history: History, minute: int, result: SyncResult = SyncResult.SUCCEEDED, component: ComponentRecord | None = None
) -> SyncRecord:
    at = NOON + timedelta(minutes=minute)
    sync, _ = await history.begin(REQUEST, at)
    if component is not None:
        ended = at + timedelta(seconds=30)
        await history.add_component(sync, replace(component, started_at=at, ended_at=ended))
    failure = None if result is SyncResult.SUCCEEDED else FAILURE
    await history.end(sync, result, failure, at + timedelta(seconds=30))
    return await history.read(sync.id)


SHOP = ComponentRecord(
    component="shop",
    result=SyncResult.SUCCEEDED,
    started_at=NOON,
    ended_at=NOON,
    kind=SyncKind.DELTA,
    reason=None,
    snapshot_at=NOON,
    point=SyncPoint(capture_id="c", seq=7, nonce="n"),
    rows=3,
    keys=2,
    bytes=2**40,
    rows_per_table={'public."odd, näme"': 3, "public.quiet": 0},
    seconds_per_phase={"copying": 1.5},
    unkept=(UnkeptTable(name="public.log", reason="it has no key"),),
    definitions=("view public.v changed",),
)


async def test_only_one_sync_runs(history: History) -> None:
    """However many ask at the same moment."""
    answers = await asyncio.gather(*(history.begin(REQUEST, NOON) for _ in range(8)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, SyncRunning)]
    begun = [answer for answer in answers if isinstance(answer, tuple)]
    assert (len(begun), len(refused)) == (1, 7)
    assert all(begun[0][0].id in refusal.detail for refusal in refused)


async def test_an_idempotency_key_gives_the_same_sync_for_ever(history: History) -> None:
    """While it runs, and after it has ended."""
    request = replace(REQUEST, idempotency_key="key-1")
    answers = await asyncio.gather(*(history.begin(request, NOON) for _ in range(4)), return_exceptions=True)
    first = next(answer for answer in answers if isinstance(answer, tuple) and answer[1])[0]
    assert (await history.begin(request, NOON)) == (first, False)
    await history.end(first, SyncResult.SUCCEEDED, None, NOON)
    again, is_new = await history.begin(request, NOON)
    assert (again.id, is_new, again.result) == (first.id, False, SyncResult.SUCCEEDED)


async def test_what_was_recorded_comes_back(history: History) -> None:
    """All fields; tables without rows are left out."""
    sync = await _finished(history, 0, component=SHOP)
    (component,) = sync.components
    ended = NOON + timedelta(seconds=30)
    assert component == replace(SHOP, ended_at=ended, rows_per_table={'public."odd, näme"': 3})
    assert (sync.result, sync.failure, sync.ended_at) == (SyncResult.SUCCEEDED, None, ended)


async def test_an_end_is_recorded_once(history: History) -> None:
    """History is not rewritten."""
    sync = await _finished(history, 0, SyncResult.FAILED)
    await history.end(sync, SyncResult.SUCCEEDED, None, NOON + timedelta(days=1))
    assert (await history.read(sync.id)) == sync
    assert sync.failure == FAILURE


async def test_what_a_dead_controller_left_running_becomes_interrupted(history: History) -> None:
    """And the next sync may begin."""
    sync, _ = await history.begin(REQUEST, NOON)
    (orphan,) = await history.interrupt_orphans(NOON + timedelta(minutes=1))
    assert (orphan.id, orphan.result) == (sync.id, SyncResult.INTERRUPTED)
    assert orphan.failure is not None
    assert orphan.failure.code == "controller_died"
    assert await history.interrupt_orphans(NOON) == ()
    assert (await history.begin(REQUEST, NOON))[1]


async def test_a_clock_set_back_does_not_end_a_sync_before_its_start(history: History) -> None:
    """An orphan of the future ends when it started."""
    await history.begin(REQUEST, NOON)
    (orphan,) = await history.interrupt_orphans(NOON - timedelta(days=1))
    assert orphan.ended_at == orphan.started_at


async def test_pages_hold_every_sync_once(history: History) -> None:
    """Newest first, also those that began at the same moment."""
    made = [await _finished(history, minute // 2) for minute in range(7)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await history.list_syncs(SyncFilter(), 3, cursor)
        seen += [sync.id for sync in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page.items) == 3
    assert seen == [sync.id for sync in reversed(made)]
    assert sorted(seen) == [sync.id for sync in made]


async def test_a_list_holds_what_was_asked_for(history: History) -> None:
    """Each filter, alone."""
    good = await _finished(history, 0, component=SHOP)
    bad = await _finished(history, 1, SyncResult.FAILED)
    seed = await _finished(history, 2, component=replace(SHOP, component="mail", kind=SyncKind.SEED))

    async def found(wanted: SyncFilter) -> list[str]:
        return [sync.id for sync in (await history.list_syncs(wanted, 10, None)).items]

    assert await found(SyncFilter(results=(SyncResult.FAILED,))) == [bad.id]
    assert await found(SyncFilter(results=(SyncResult.FAILED, SyncResult.SUCCEEDED))) == [seed.id, bad.id, good.id]
    assert await found(SyncFilter(component="shop")) == [good.id]
    assert await found(SyncFilter(kind=SyncKind.SEED)) == [seed.id]
    assert await found(SyncFilter(component="shop", kind=SyncKind.SEED)) == []
    assert await found(SyncFilter(trigger=Trigger.SCHEDULE)) == []
    assert await found(SyncFilter(started_from=NOON + timedelta(minutes=1))) == [seed.id, bad.id]
    assert await found(SyncFilter(started_before=NOON + timedelta(minutes=1))) == [good.id]


@pytest.mark.parametrize("cursor", ["", "x", "e30", "WzEsMl0", "WyIyMDI2LTAxLTAxIiwgImIiLCAxXQ", "A" * 400, "é"])
async def test_a_foreign_cursor_is_refused(history: History, cursor: str) -> None:
    """And never reaches the server."""
    with pytest.raises(CursorInvalid):
        await history.list_syncs(SyncFilter(), 10, cursor)


@pytest.mark.parametrize("sync_id", ["", "b.", "b.x", ".1", "b.99", "b.9223372036854775808", "b.٣", "b\0.1", "c.1"])
async def test_an_unknown_sync_is_not_found(history: History, sync_id: str) -> None:
    """Whatever the id looks like."""
    with pytest.raises(NotFound):
        await history.read(sync_id)


async def test_old_syncs_are_forgotten_but_never_where_the_copy_stands(history: History) -> None:
    """The last success of each component says how old its data is."""
    old = [
        await _finished(history, 0, component=SHOP),
        await _finished(history, 1, component=SHOP),
        await _finished(history, 2, component=replace(SHOP, component="mail")),
        await _finished(history, 3, SyncResult.FAILED),
    ]
    running, _ = await history.begin(REQUEST, NOON + timedelta(minutes=4))
    assert await history.trim(NOON + timedelta(days=91), 90) == 2
    left = [sync.id for sync in (await history.list_syncs(SyncFilter(), 10, None)).items]
    assert left == [running.id, old[2].id, old[1].id]
    successes = await history.last_successes(["shop", "mail", "never"])
    assert {name: record.ended_at for name, record in successes.items()} == {
        "shop": old[1].ended_at,
        "mail": old[2].ended_at,
    }
