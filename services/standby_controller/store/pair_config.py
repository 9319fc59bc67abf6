"""The pair's settings and tokens in the control database: changed by compare-and-set, merged with what peers hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.standby_controller.known_pair import EMPTY, KnownPair
from services.standby_controller.pair_document import PairDocument, carry_unknown, stored_form, usable_document
from services.standby_controller.policy.pair_merge import FIRST, is_overruled, merge_books, succeed
from services.standby_controller.severity import Severity
from services.standby_controller.store.audit import Action, Audit, NewEntry
from services.standby_controller.store.database import Connection, Database, Record
from services.standby_controller.store.events import EventKind, Events, NewEvent
from services.standby_controller.store.tokens import pair_token_of
from shared.errors import PreconditionFailed
from shared.node.pair import ConfigVersion, PairBook, PairSettings, PairToken
from shared.postgres.queries import load_queries

_QUERIES: Final = load_queries("services.standby_controller.store", "pair_config.sql")


@dataclass(frozen=True, slots=True)
class StoredConfig:
    """The settings with their version and who wrote them; `document` is what this release understands of them."""

    settings: PairSettings
    document: PairDocument

    @classmethod
    def of(cls, settings: PairSettings) -> StoredConfig:
        """Return the value for settings."""
        return cls(settings, usable_document(settings.document))

    @property
    def version(self) -> ConfigVersion:
        """Return the version in the pair: the higher one wins."""
        return self.settings.version


class PairConfig:
    """The pair's configuration; what was last known is kept for when the database is away."""

    def __init__(
        self,
        database: Database,
        events: Events,
        known: KnownPair,
        node: str,
        *,
        owner: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Keep the ways; changes are made in the name of this node, `owner` is the node that was promoted last."""
        self._database = database
        self._events = events
        self._audit = Audit(database, node)
        self._known = known
        self._node = node
        self._owner = owner

    @property
    def is_known(self) -> bool:
        """Say whether the settings were read, from database or file, so that they are more than the defaults."""
        return self._known.is_known

    @property
    def known(self) -> PairDocument:
        """Return the settings that count here, as last known; the defaults before that.

        What widens the right to promote does not count before the active node has recorded it.
        """
        return self._known.effective(self._owner())

    async def read(self, now: datetime) -> StoredConfig:
        """Return the present settings, writing the defaults as the first ones; raises PostgresError."""
        row = await self._database.fetch_row(_QUERIES["read_config"])
        if row is None:
            await self._database.execute(_QUERIES["init_config"], "{}", now, "defaults")
            row = await self._database.fetch_row(_QUERIES["read_config"])
        assert row is not None, "nothing deletes the document"
        return StoredConfig.of(_settings(row))

    async def replace(
        self, base: StoredConfig, document: PairDocument, *, epoch: int, changed_by: str, now: datetime
    ) -> StoredConfig:
        """Replace the settings that `base` is, with an event; raises PreconditionFailed when they changed meanwhile."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_QUERIES["lock_config"])
            if row is None or _settings(row).version != base.version:
                raise PreconditionFailed("the configuration was changed meanwhile")
            settings = succeed(
                base.settings,
                carry_unknown(base.settings.document, stored_form(document)),
                epoch=epoch,
                node_id=self._node,
                changed_by=changed_by,
                now=now,
            )
            await _write(connection, settings)
            text = f"{changed_by} changed the configuration"
            before, after = (_shown(one) for one in (base.settings, settings))
            await self._tell(connection, now, EventKind.CONFIG_CHANGED, Severity.INFO, text, before, after)
            tokens = await connection.fetch(_QUERIES["read_tokens"])
        await self._known.take(_book(settings, tokens))
        return StoredConfig.of(settings)

    async def read_book(self, now: datetime) -> PairBook:
        """Return settings and tokens, deleted ones too."""
        settings = (await self.read(now)).settings
        return _book(settings, await self._database.fetch(_QUERIES["read_tokens"]))

    async def merge(self, book: PairBook, now: datetime) -> PairBook:
        """Write what another node, or the last-good copy, holds and this database lacks; return what both come to.

        A change that is lost to one which was not made from it is told as an event.
        """
        await self.read(now)
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_QUERIES["lock_config"])
            assert row is not None, "nothing deletes the document"
            present = _book(_settings(row), await connection.fetch(_QUERIES["read_tokens"]))
            merged = merge_books(present, book)
            if merged.settings != present.settings:
                await _write(connection, merged.settings)
                await self._tell_overruled(connection, now, present.settings, merged.settings)
            held = {token.id: token for token in present.tokens}
            for token in merged.tokens:
                if held.get(token.id) != token:
                    await connection.execute(_QUERIES["take_token"], *_token_values(token))
        return merged

    async def _tell_overruled(
        self, connection: Connection, now: datetime, lost: PairSettings, kept: PairSettings
    ) -> None:
        if not is_overruled(lost, kept):
            return
        text = (
            f"{lost.changed_by} on {lost.version.node_id or self._node} and {kept.changed_by} on {kept.version.node_id}"
            " changed the configuration without seeing each other's change; the first one's is lost"
        )
        before, after = _shown(lost), _shown(kept)
        await self._tell(connection, now, EventKind.CONFIG_OVERRULED, Severity.WARNING, text, before, after)

    async def _tell(
        self,
        connection: Connection,
        now: datetime,
        kind: EventKind,
        severity: Severity,
        text: str,
        before: dict[str, Any],
        after: dict[str, Any],
    ) -> None:
        data = {"before": before.pop("document"), "after": after.pop("document"), "was": before, "is": after}
        await self._events.add(NewEvent(now, kind, severity, None, text, data), connection)
        is_lost = kind is EventKind.CONFIG_OVERRULED
        action, who = Action(kind.value), (before if is_lost else after)["changed_by"]
        entry = NewEntry(now, who, action, after["version"], data["before"], data["after"])
        await self._audit.add(entry, connection)


def _book(settings: PairSettings, tokens: Sequence[Record]) -> PairBook:
    settings = EMPTY.settings if settings.version == FIRST else settings
    return PairBook(settings=settings, tokens=tuple(map(pair_token_of, tokens)))


def _settings(row: Record) -> PairSettings:
    return PairSettings(
        document=json.loads(row["document"]),
        version=ConfigVersion(epoch=row["epoch"], version=row["version"], node_id=row["node_id"]),
        changed_at=row["changed_at"],
        changed_by=row["changed_by"],
        lineage=tuple(ConfigVersion.model_validate(one) for one in json.loads(row["lineage"])),
    )


def _token_values(token: PairToken) -> tuple[Any, ...]:
    return (
        token.id,
        token.name,
        token.role,
        bytes.fromhex(token.secret_sha256),
        token.created_at,
        token.expires_at,
        token.made_on,
        token.deleted_at,
    )


async def _write(connection: Connection, settings: PairSettings) -> None:
    version = settings.version
    await connection.execute(
        _QUERIES["replace_config"],
        version.epoch,
        version.version,
        version.node_id,
        json.dumps(settings.document),
        settings.changed_at,
        settings.changed_by,
        json.dumps([one.model_dump() for one in settings.lineage]),
    )


def _shown(settings: PairSettings) -> dict[str, Any]:
    """Return who changed what and when, for the audit trail."""
    return {
        "document": usable_document(settings.document).model_dump(mode="json"),
        "version": settings.version.etag.strip('"'),
        "changed_by": settings.changed_by,
        "changed_at": settings.model_dump(mode="json")["changed_at"],
        "changed_on": settings.version.node_id,
    }
