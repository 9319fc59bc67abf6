"""API tokens of people: only hashes are kept, and compared in constant time. What a role may do is not here."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from services.standby_controller.known_pair import KnownPair
from services.standby_controller.store.database import Database, Record
from services.standby_controller.store.pages import Page, decode_cursor, encode_cursor
from shared.errors import CredentialError, CredentialExpired, DatabaseUnreachable, NameTaken, NotFound, PostgresError
from shared.http.credentials import digest_of
from shared.node.pair import PairToken
from shared.postgres.queries import load_queries

_QUERIES: Final = load_queries("services.standby_controller.store", "tokens.sql")
_PREFIX: Final = "wst"
_NOBODY: Final = bytes(32)
_NOTE_USE_EVERY: Final = timedelta(minutes=1)
_PATIENCE_SECONDS: Final = 1.0


class Role(StrEnum):
    """What a token allows; each role includes the ones before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Say whether this role may do what the other may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret."""

    id: str
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    made_on: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    """A token and what its secret is compared with."""

    token: Token
    secret_sha256: bytes
    is_from_database: bool


class Tokens:
    """The pair's tokens; those made here are made in the name of this node."""

    def __init__(self, database: Database, known: KnownPair, node: str) -> None:
        """Keep the way to the database, and what is known while it is away."""
        self._database = database
        self._known = known
        self._node = node

    async def create(self, name: str, role: Role, now: datetime, expires_at: datetime | None) -> tuple[Token, str]:
        """Make a token and return it with its secret, which nobody can read again; raises NameTaken."""
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        async with self._database.transaction() as connection:
            await connection.execute(_QUERIES["lock_tokens"])
            row = await connection.fetchrow(
                _QUERIES["add_token"], token_id, name, role, digest_of(secret), now, expires_at, self._node
            )
        if row is None:
            raise NameTaken(f"a token named {name!r} exists")
        return _token(row), f"{_PREFIX}_{token_id}_{secret}"

    async def check(self, credential: str, now: datetime) -> Token:
        """Return the token that this credential is; raises CredentialError, CredentialExpired and PostgresError.

        While the database is away, the last-good copy tells what is a token.
        """
        prefix, _, rest = credential.partition("_")
        token_id, _, secret = rest.partition("_")
        is_shaped = prefix == _PREFIX and token_id.isascii() and token_id.isalnum() and bool(secret)
        found = await self._find(token_id) if is_shaped else None
        known = _NOBODY if found is None else found.secret_sha256
        if not hmac.compare_digest(digest_of(secret), known) or found is None:
            raise CredentialError(
                "the token is not known", hint="Make one with `warmstandby token create` on a node of the pair."
            )
        token = found.token
        if token.expires_at is not None and token.expires_at <= now:
            raise CredentialExpired(f"the token {token.name!r} has expired")
        if found.is_from_database and (token.last_used_at is None or abs(now - token.last_used_at) >= _NOTE_USE_EVERY):
            await self._note_use(token.id, now)
        return token

    def is_valid(self, token_id: str, now: datetime) -> bool:
        """Say from memory whether a token still opens anything; of those not known yet nothing is said against."""
        token = self._known.find(token_id)
        return token is None or (token.deleted_at is None and (token.expires_at is None or token.expires_at > now))

    async def _find(self, token_id: str) -> _Found | None:
        if not self._database.is_answering:
            return self._find_known(token_id, DatabaseUnreachable("the control database does not answer"))
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                row = await self._database.fetch_row(_QUERIES["read_token"], token_id)
        except TimeoutError:
            self._database.note_silence()
            return self._find_known(token_id, DatabaseUnreachable("the control database hangs"))
        except PostgresError as error:
            return self._find_known(token_id, error)
        if row is None:
            return None
        await self._known.take_token(
            pair_token_of(row)
        )  # it opens the API also when the database is away a moment later
        return _Found(_token(row), bytes(row["secret_sha256"]), is_from_database=True)

    def _find_known(self, token_id: str, error: PostgresError) -> _Found | None:
        """Return the token of the last-good copy; where that knows none at all, nobody can tell."""
        if not self._known.has_tokens:
            raise error
        known = self._known.find(token_id)
        if known is None or known.deleted_at is not None:
            return None
        token = Token(
            id=known.id,
            name=known.name,
            role=Role(known.role),
            created_at=known.created_at,
            expires_at=known.expires_at,
            last_used_at=None,
            made_on=known.made_on,
        )
        return _Found(token, bytes.fromhex(known.secret_sha256), is_from_database=False)

    async def _note_use(self, token_id: str, now: datetime) -> None:
        with contextlib.suppress(PostgresError, TimeoutError):  # not worth refusing anybody
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._database.execute(_QUERIES["note_use"], token_id, now)

    async def list_tokens(self, limit: int, cursor: str | None) -> Page[Token]:
        """Return a page of tokens by name."""
        after = (None, None) if cursor is None else decode_cursor(cursor, str, str)
        rows = await self._database.fetch(_QUERIES["list_tokens"], *after, limit + 1)
        tokens = tuple(map(_token, rows[:limit]))
        return Page(tokens, encode_cursor(tokens[-1].name, tokens[-1].id) if len(rows) > limit else None)

    async def delete(self, token_id: str, now: datetime) -> Token:
        """End the use of a token at once and return it; raises NotFound."""
        row = await self._database.fetch_row(_QUERIES["delete_token"], token_id, now) if "\0" not in token_id else None
        if row is None:
            raise NotFound(f"there is no token {token_id!r}")
        await self._known.take_token(pair_token_of(row))
        return _token(row)


def pair_token_of(row: Record) -> PairToken:
    """Return a row of control.tokens as the nodes tell each other of it."""
    return PairToken(
        id=row["id"],
        name=row["name"],
        role=row["role"],
        secret_sha256=bytes(row["secret_sha256"]).hex(),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        made_on=row["made_on"],
        deleted_at=row["deleted_at"],
    )


def _token(row: Record) -> Token:
    return Token(
        id=row["id"],
        name=row["name"],
        role=Role(row["role"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
        made_on=row["made_on"],
    )
