"""API tokens of people: only hashes are kept, and compared in constant time. What a role may do is not here."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from services.standby_controller.store.database import Database, Record
from services.standby_controller.store.pages import Page, decode_cursor, encode_cursor
from shared.errors import CredentialError, CredentialExpired, NameTaken, NotFound, PostgresError
from shared.http.credentials import digest_of
from shared.postgres.queries import load_queries

_QUERIES: Final = load_queries("services.standby_controller.store", "tokens.sql")
_PREFIX: Final = "wst"
_NOBODY: Final = bytes(32)
_NOTE_USE_EVERY: Final = timedelta(minutes=1)
_REMEMBER: Final = timedelta(minutes=10)


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


@dataclass(frozen=True, slots=True)
class _Found:
    """A token as the database had it at a time."""

    token: Token
    secret_sha256: bytes
    seen_at: datetime


class Tokens:
    """All tokens of this node."""

    def __init__(self, database: Database) -> None:
        """Keep the way to the database."""
        self._database = database
        self._remembered: dict[str, _Found] = {}

    async def create(self, name: str, role: Role, now: datetime, expires_at: datetime | None) -> tuple[Token, str]:
        """Make a token and return it with its secret, which nobody can read again; raises NameTaken."""
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        row = await self._database.fetch_row(
            _QUERIES["add_token"], token_id, name, role, digest_of(secret), now, expires_at
        )
        if row is None:
            raise NameTaken(f"a token named {name!r} exists")
        return _token(row), f"{_PREFIX}_{token_id}_{secret}"

    async def check(self, credential: str, now: datetime) -> Token:
        """Return the token that this credential is; raises CredentialError, CredentialExpired and PostgresError.

        While the database is away, a token that was good in the last minutes is good, so that the status can be seen.
        """
        prefix, _, rest = credential.partition("_")
        token_id, _, secret = rest.partition("_")
        is_shaped = prefix == _PREFIX and token_id.isascii() and token_id.isalnum() and bool(secret)
        found = await self._find(token_id, now) if is_shaped else None
        known = _NOBODY if found is None else found.secret_sha256
        if not hmac.compare_digest(digest_of(secret), known) or found is None:
            raise CredentialError(
                "the token is not known", hint="Make one with `warmstandby token create` on the node that is asked."
            )
        token = found.token
        if token.expires_at is not None and token.expires_at <= now:
            raise CredentialExpired(f"the token {token.name!r} has expired")
        if found.seen_at == now:
            self._remembered[token_id] = found
            if token.last_used_at is None or abs(now - token.last_used_at) >= _NOTE_USE_EVERY:
                await self._database.execute(_QUERIES["note_use"], token.id, now)
        return token

    async def _find(self, token_id: str, now: datetime) -> _Found | None:
        try:
            row = await self._database.fetch_row(_QUERIES["read_token"], token_id)
        except PostgresError:
            remembered = self._remembered.get(token_id)
            if remembered is None or abs(now - remembered.seen_at) > _REMEMBER:
                raise
            return remembered
        if row is None:
            self._remembered.pop(token_id, None)
            return None
        return _Found(_token(row), bytes(row["secret_sha256"]), now)

    async def list_tokens(self, limit: int, cursor: str | None) -> Page[Token]:
        """Return a page of tokens by name."""
        after = None if cursor is None else decode_cursor(cursor, str)[0]
        rows = await self._database.fetch(_QUERIES["list_tokens"], after, limit + 1)
        tokens = tuple(map(_token, rows[:limit]))
        return Page(tokens, encode_cursor(tokens[-1].name) if len(rows) > limit else None)

    async def delete(self, token_id: str) -> Token:
        """Forget a token, which ends its use at once, and return it; raises NotFound."""
        row = await self._database.fetch_row(_QUERIES["delete_token"], token_id) if "\0" not in token_id else None
        self._remembered.pop(token_id, None)
        if row is None:
            raise NotFound(f"there is no token {token_id!r}")
        return _token(row)


def _token(row: Record) -> Token:
    return Token(
        id=row["id"],
        name=row["name"],
        role=Role(row["role"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
    )
