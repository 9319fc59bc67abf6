"""A rescue is told of until the event is recorded, whatever dies between the saving and the telling."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.standby_controller.rescue.events import tell_rescues
from services.standby_controller.rescue.manifest import RescueKind, RescueManifest
from services.standby_controller.rescue.shelf import Shelf
from services.standby_controller.store.database import open_database
from services.standby_controller.store.events import EventFilter, EventKind, Events
from shared.errors import PostgresError
from tests.node_file import node_settings

SAVED = RescueManifest(
    id="shop-17-1",
    kind=RescueKind.ROWS,
    component="shop",
    database="shop",
    node_id="one",
    source_node="two",
    term_epoch=17,
    reason="it came back",
    made_at=datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
)


async def test_a_rescue_is_told_once_it_can_be_and_again_when_it_is_saved_again(
    newest_dsn: str, tmp_path: Path
) -> None:
    """Also by the next process; one that was discarded meanwhile is told of by nobody."""
    settings = node_settings(node={"state_dir": str(tmp_path)})
    await Shelf(settings).finish(SAVED)
    shelf = Shelf(settings)
    async with open_database(newest_dsn) as control:
        events = Events(control, "one")

        async def told() -> list[str | None]:
            page = await events.list_events(EventFilter(kind=EventKind.RESCUE_SAVED), 10, None)
            return [record.event.subject for record in page.items]

        async with open_database(f"{newest_dsn}_away") as away:
            with pytest.raises(PostgresError):
                await away.prepare()
            with pytest.raises(PostgresError):
                await tell_rescues(shelf, Events(away, "one"))
        await control.prepare()
        assert [await tell_rescues(shelf, events) for _ in range(2)] == [True, False]
        assert await told() == [SAVED.id]
        await shelf.prepare(SAVED.id, SAVED.component)
        assert not await tell_rescues(shelf, events)
        await shelf.finish(SAVED)
        assert await tell_rescues(shelf, events)
        assert await told() == [SAVED.id] * 2
        await shelf.drop(SAVED.id)
        await shelf.mark_told(SAVED.id)
        assert not await tell_rescues(shelf, events)
