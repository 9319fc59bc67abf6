"""The pair's configuration in the control database: one document, changed by compare-and-set."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.standby_controller.pair_document import PairDocument, parse_document
from services.standby_controller.severity import Severity
from services.standby_controller.store.database import Database, Record
from services.standby_controller.store.events import EventKind, Events, NewEvent
from shared.errors import PreconditionFailed
from shared.postgres.queries import load_queries

_QUERIES: Final = load_queries("services.standby_controller.store", "pair_config.sql")


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """The document's version in the pair: the higher one wins."""

    epoch: int
    version: int

    @property
    def etag(self) -> str:
        """Return the version as an entity tag."""
        return f'"{self.epoch}.{self.version}"'


@dataclass(frozen=True, slots=True)
class StoredConfig:
    """The document with its version and who wrote it."""

    document: PairDocument
    version: ConfigVersion
    changed_at: datetime
    changed_by: str


class PairConfig:
    """The pair's configuration; the last one read is kept for when the database is away."""

    def __init__(self, database: Database, events: Events) -> None:
        """Start with the defaults as the last known document."""
        self._database = database
        self._events = events
        self._known = PairDocument()
        self._is_known = False

    @property
    def is_known(self) -> bool:
        """Say whether the document was read, so that it is more than the defaults."""
        return self._is_known

    @property
    def known(self) -> PairDocument:
        """Return the document as last read, the defaults before that."""
        return self._known

    async def read(self, now: datetime) -> StoredConfig:
        """Return the present document, writing the defaults as the first one."""
        row = await self._database.fetch_row(_QUERIES["read_config"])
        if row is None:
            await self._database.execute(
                _QUERIES["init_config"], PairDocument().model_dump_json(exclude_defaults=True), now, "defaults"
            )
            row = await self._database.fetch_row(_QUERIES["read_config"])
        assert row is not None, "nothing deletes the document"
        return self._keep(_stored(row))

    async def replace(
        self, base: StoredConfig, document: PairDocument, *, epoch: int, changed_by: str, now: datetime
    ) -> StoredConfig:
        """Replace the document that `base` is, with an event; raises PreconditionFailed when it changed meanwhile."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                _QUERIES["replace_config"],
                base.version.epoch,
                base.version.version,
                max(epoch, base.version.epoch),
                document.model_dump_json(exclude_defaults=True),
                now,
                changed_by,
            )
            if row is None:
                raise PreconditionFailed("the configuration was changed meanwhile")
            stored = _stored(row)
            await self._events.add(
                NewEvent(
                    now,
                    EventKind.CONFIG_CHANGED,
                    Severity.INFO,
                    None,
                    f"{changed_by} changed the configuration",
                    {"before": base.document.model_dump(mode="json"), "after": document.model_dump(mode="json")},
                ),
                connection,
            )
        return self._keep(stored)

    def _keep(self, stored: StoredConfig) -> StoredConfig:
        self._known, self._is_known = stored.document, True
        return stored


def _stored(row: Record) -> StoredConfig:
    return StoredConfig(
        document=parse_document(json.loads(row["document"])),
        version=ConfigVersion(row["epoch"], row["version"]),
        changed_at=row["changed_at"],
        changed_by=row["changed_by"],
    )
