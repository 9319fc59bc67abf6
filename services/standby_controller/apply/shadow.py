"""Shadow databases: made with the source's properties, swapped in by one transaction, cleared away when left behind."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from typing import Final

import asyncpg

from services.standby_controller.apply.cursor import hold_node_guard
from services.standby_controller.definitions.properties import write_comment, write_grants, write_setting
from shared.errors import PostgresError, SeedRefused
from shared.log import fields_of
from shared.postgres.application import read_standing
from shared.postgres.queries import load_queries, quote_identifier, quote_literal
from shared.postgres.sessions import Session, open_session, translated
from shared.replication.model import DatabaseProperties, Manifest
from shared.settings import Settings

_QUERIES: Final = load_queries("services.standby_controller.apply", "seed.sql")
_TARGET: Final = load_queries("services.standby_controller.apply", "target.sql")
_SWAP_ATTEMPTS: Final = 20
_SWAP_PAUSE_SECONDS: Final = 0.25
_log = logging.getLogger(__name__)


def _prefix(settings: Settings, what: str) -> str:
    node = hashlib.sha256(f"{settings.node.pair_id}\0{settings.node.id}".encode()).hexdigest()[:8]
    return f"ws_{what}_{node}_"


class Shadow:
    """One shadow database; `session` is with the node's own database, as the role that applies."""

    def __init__(self, settings: Settings, session: Session, live: str) -> None:
        """Choose a name that nobody else uses."""
        self.seed_id = secrets.token_hex(6)
        self.name = _prefix(settings, "seed") + self.seed_id
        self.live = live
        self.rescue_name = _prefix(settings, "rescue") + self.seed_id
        self._old = _prefix(settings, "old") + self.seed_id
        self._session = session
        self._settings = settings

    async def create(self, manifest: Manifest) -> None:
        """Make the database, closed to applications; raise SeedRefused where this server cannot hold it."""
        properties = manifest.database
        version = self._session.get_server_version().major
        if version < manifest.server_version // 10000:
            raise SeedRefused(
                f"the active node runs PostgreSQL {manifest.server_version // 10000}, this one {version}",
                hint="The standby's PostgreSQL must be of the same major version or a newer one.",
            )
        roles = {properties.owner, *(grant.grantee for grant in properties.grants or () if grant.grantee)}
        roles |= {setting.role for setting in properties.settings if setting.role}
        present = {row["name"] for row in await self._session.fetch(_QUERIES["list_roles"], sorted(roles))}
        if roles - present:
            raise SeedRefused(
                f"roles of database {self.live} are missing on this node: {', '.join(sorted(roles - present))}",
                hint="Create them as on the active node: `pg_dumpall --roles-only` there, psql here.",
            )
        statement = _QUERIES["create_database"].format(
            database=quote_identifier(self.name),
            owner=quote_identifier(properties.owner),
            encoding=quote_literal(manifest.encoding),
            locale=_write_locale(properties),
        )
        with translated(f"creating the shadow of database {self.live}"):
            try:
                await self._session.execute(statement)
            except (
                asyncpg.InvalidParameterValueError,
                asyncpg.WrongObjectTypeError,
                asyncpg.UndefinedObjectError,
            ) as error:
                raise SeedRefused(f"this server cannot hold a database like {self.live}: {error}") from error
            await self._session.execute(_QUERIES["close_database"].format(database=quote_identifier(self.name)))

    async def is_superuser(self) -> bool:
        """Say whether our role may give rights on system objects."""
        return bool(await self._session.fetchval(_QUERIES["is_superuser"]))

    async def take_properties(self, properties: DatabaseProperties) -> None:
        """Give the shadow the rights, limit, comment and settings of the source."""
        name = quote_identifier(self.name)
        with translated(f"setting the properties of database {self.live}"):
            await self._session.execute(f"ALTER DATABASE {name} CONNECTION LIMIT {properties.connection_limit}")
            if properties.comment is not None:
                await self._session.execute(write_comment(name, properties.comment))
            for setting in properties.settings:
                await self._try(write_setting(name, setting.role, setting.assignment))
            for statement in write_grants(name, properties):
                await self._try(statement)

    async def _try(self, statement: str) -> None:
        """Set one property; one that our role may not set is told of and left out."""
        try:
            await self._session.execute(statement)
        except asyncpg.InsufficientPrivilegeError as error:
            _log.warning(
                "a property of the database is not copied", extra={"statement": statement, "detail": str(error)}
            )

    async def must_keep_live(self, component: str) -> bool:
        """Say whether the live database holds what is nowhere else: it was used, and it is no copy."""
        if not await self._session.fetchval(_QUERIES["database_exists"], self.live):
            return False
        dsn = self._settings.postgres.apply_dsn.get_secret_value()
        async with open_session(dsn, database=self.live) as session:
            if await read_standing(session, component) is not None:
                return False
            return bool(await session.fetchval(_TARGET["holds_rows"]))

    async def swap_in(self, *, keep_as: str | None = None) -> None:
        """Rename the live database away and the shadow to its name, in one transaction; then drop the old one.

        An old one that is to be kept has the name given, and no slot of ours. A client that connects meanwhile waits
        or is told that the database does not exist; it never sees the wrong one.
        """
        with translated(f"swapping database {self.live}"):
            had_live = await self._session.fetchval(_QUERIES["database_exists"], self.live)
            for attempt in range(1, _SWAP_ATTEMPTS + 1):
                await self._session.fetchval(_QUERIES["end_sessions"], self.live)
                await self._session.fetchval(_QUERIES["end_sessions"], self.name)
                try:
                    await self._rename(had_live=had_live, old_name=keep_as or self._old)
                    break
                except asyncpg.ObjectInUseError:
                    if attempt == _SWAP_ATTEMPTS:
                        raise
                    await asyncio.sleep(_SWAP_PAUSE_SECONDS)
            if keep_as is not None:
                await drop_our_slots(self._session, keep_as)
                await self._try(_QUERIES["close_database"].format(database=quote_identifier(keep_as)))
        if had_live and keep_as is None:
            await drop_database(self._session, self._old)

    async def discard(self) -> None:
        """Drop the shadow, or what it replaced if it was swapped in; what resists goes before the next sync.

        Raises no error of the server: the reason why the seed broke off is what must be told.
        """
        try:
            with translated(f"dropping what is left of the full copy of {self.live}"):
                await self._session.execute("ROLLBACK")
                for name in (self.name, self._old):
                    await drop_database(self._session, name)
        except PostgresError as error:
            _log.warning("shadow database stays until the next sync", extra={"database": self.name, **fields_of(error)})

    async def _rename(self, *, had_live: bool, old_name: str) -> None:
        rename = _QUERIES["rename_database"]
        live, shadow, old = (quote_identifier(name) for name in (self.live, self.name, old_name))
        async with self._session.transaction():
            await hold_node_guard(self._session)
            if had_live:
                await self._session.execute(rename.format(database=live, name=old))
            await self._session.execute(rename.format(database=shadow, name=live))


async def drop_our_slots(session: Session, name: str) -> None:
    """Drop the slots that our agent made in a database, ending its session on one; others are not ours to drop."""
    for _ in range(_SWAP_ATTEMPTS):
        try:
            await session.fetch(_QUERIES["drop_our_slots"], name)
        except asyncpg.ObjectInUseError:
            await session.fetchval(_QUERIES["end_sessions"], name)
            await asyncio.sleep(_SWAP_PAUSE_SECONDS)
        else:
            return
    await session.fetch(_QUERIES["drop_our_slots"], name)


async def drop_database(session: Session, name: str) -> bool:
    """Drop a database; one that cannot be dropped now is told of and tried again before the next sync."""
    try:
        await drop_our_slots(session, name)
        await session.execute(_QUERIES["drop_database"].format(database=quote_identifier(name)))
    except (asyncpg.ObjectInUseError, asyncpg.InsufficientPrivilegeError) as error:
        slots = [row["name"] for row in await session.fetch(_QUERIES["list_slots"], name)]
        _log.warning("database could not be dropped", extra={"database": name, "detail": str(error), "slots": slots})
        return False
    return True


async def clear_databases(settings: Settings) -> None:
    """Drop shadows and replaced databases that a death left behind; for the holder of the sync lock. Idempotent."""
    async with open_session(settings.postgres.apply_dsn.get_secret_value()) as session:
        with translated("clearing shadow databases"):
            for what in ("seed", "old"):
                for row in await session.fetch(_QUERIES["list_databases"], _prefix(settings, what)):
                    if await drop_database(session, row["name"]):
                        _log.info("leftover database dropped", extra={"database": row["name"]})


def _write_locale(properties: DatabaseProperties) -> str:
    parts = [f"LC_COLLATE {quote_literal(properties.collate)}", f"LC_CTYPE {quote_literal(properties.ctype)}"]
    match properties.locale_provider:
        case "i":
            parts += ["LOCALE_PROVIDER icu", f"ICU_LOCALE {quote_literal(properties.locale or '')}"]
        case "b":
            parts += ["LOCALE_PROVIDER builtin", f"BUILTIN_LOCALE {quote_literal(properties.locale or '')}"]
        case _:
            parts += ["LOCALE_PROVIDER libc"]
    return " ".join(parts)
