"""The fence of one node: closes its components' databases, ends who is inside, proves it, and opens them again.

Two strengths. With `hba`, pg_hba.conf rejects a list of databases that is written here: no role gets in but those that
the lines before let in, whatever its rank, and a database that is swapped in under a listed name is closed. Without it,
`limit` takes the right to connect away. Subscriptions are disabled with either. See `shared/fencing/hba.py` and
`shared/fencing/limits.py`.

A connection that was being made while the fence closed is judged by the rules from before. Those that have begun their
first transaction are ended by `end`; one that had sent nothing yet is found inside by `is_closed` later.

Not looked at is the server's oldest transaction: our own database lies in the same server and moves it. Instead each
backend of the components' databases is looked at, twice, and the transactions prepared there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from shared.clock import Clock
from shared.errors import DatabaseUnreachable, FenceIncomplete, FenceListUnwritable, RightsMissing
from shared.fencing import apply_role, limits, subscriptions
from shared.fencing.hba import RulesJudged, is_listable, read_rules, reload_rules, write_list
from shared.fencing.lock import hold_lock
from shared.fencing.model import FenceProof, FenceStrength, Inside, PreparedTransaction
from shared.fencing.probe import ProbeUnusable, find_entered
from shared.fencing.sessions import end_sessions, list_entering, list_inside, list_prepared, rollback_prepared
from shared.postgres.migrations import migrate
from shared.postgres.sessions import Session, open_session, translated
from shared.settings import Settings

_LOOK_SECONDS: Final = 0.02
_LONGEST_LOOK_SECONDS: Final = 0.25
_LOOKS_APART_SECONDS: Final = 0.2
_LOCK_SECONDS: Final = 3.0
_NAMED: Final = 5
_REFUSED_SECONDS: Final = 2.0
_log = logging.getLogger(__name__)


class Fence:
    """One node's fence; every act is idempotent, may be cancelled at any moment, and raises PostgresError."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Connects on use; the public values are what the last act or look found, for people."""
        self.strength = FenceStrength.LIMIT
        self.problem: str | None = None
        """Why the fence is weaker than configured, or what it could not do."""
        self.opening: str | None = None
        """What is open, or who is inside."""
        self._clock = clock
        self._dsn = settings.postgres.dsn.get_secret_value()
        self._apply_role = apply_role.role_of(settings.postgres.apply_dsn.get_secret_value())
        self._databases = tuple(component.database for component in settings.components)
        self._fencing = settings.fencing
        self._ours = (apply_role.role_of(self._dsn), self._apply_role)
        self._let_in = (*self._ours, *(role for role in settings.fencing.reader_roles if role not in self._ours))
        self._is_migrated = False

    # Closing and opening ---------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Let nobody in any more but our roles and the readers; does what our rights allow, and `prove` judges it.

        What is taken away is recorded with the act itself. A session from before stays inside: `end` ends it.
        """
        problems = []
        try:
            await asyncio.to_thread(self.close_unasked)
        except FenceListUnwritable as error:
            problems.append(error.detail)
        async with self._session() as session:
            strength, problem = await self._load_rules(session, frozenset(self._databases))
            problems += [problem] if problem else []
            await limits.forget_dropped(session)
            if strength is FenceStrength.LIMIT:
                problems += await self._limit(session, self._databases)
            problems += await subscriptions.disable(session, self._dsn, self._databases)
        self._note(strength, problems)

    async def close_shadow(self, database: str) -> None:
        """Close a database that is to be swapped in, as it would be closed under its new name; raise FenceIncomplete.

        With strength `hba` the name closes it. What it has now is what `open` gives back.
        """
        async with self._session() as session:
            judged = await self._judge(session)
            if judged.strength is FenceStrength.HBA and judged.names >= set(self._databases):
                return
            problems = await self._limit(session, [database])
        if problems:
            raise FenceIncomplete(f"database {database} is not closed: {problems[0]}", hint=RightsMissing.default_hint)

    async def open(self) -> None:
        """Give back exactly what closing took, and let everybody in again."""
        async with self._session() as session:
            problems = await subscriptions.enable(session, self._dsn, self._databases)
            for database in self._databases:
                await limits.open_database(session, database)
            if self._fencing.hba_list is not None:
                await asyncio.to_thread(write_list, self._fencing.hba_list, ())
            strength, problem = await self._load_rules(session, frozenset())
        self._note(strength, [*([problem] if problem else []), *problems])

    def close_unasked(self) -> None:
        """Write the list alone, without the server: it reads it when it starts. Raises FenceListUnwritable."""
        if self._fencing.hba_list is not None:
            write_list(self._fencing.hba_list, self._databases)

    async def is_closed(self) -> bool:
        """Say whether nobody else can enter and nobody else is inside; where not: close and end again.

        `opening` says what was found.
        """
        async with self._session(locks=False) as session:
            self.opening = await self._find_open(session)
            if self.opening is None:
                inside = await list_inside(session, self._databases, self._let_in)
                self.opening = f"inside: {_name(inside)}" if inside else None
        return self.opening is None

    async def is_open(self) -> bool:
        """Say whether nothing is left of a fence: what an active node looks at. One cheap look."""
        async with self._session(locks=False) as session:
            if self._fencing.hba_list is not None and (await self._judge(session)).names & set(self._databases):
                return False
            return not await limits.list_recorded(session, self._databases)

    async def is_shut_down(self) -> bool:
        """Say whether the server refuses connections and will find the list when it starts: nobody is, or gets, inside.

        A server that does not answer at all is none that is down.
        """
        if self._fencing.hba_list is None:
            return False
        try:
            async with open_session(self._dsn, connect_timeout_seconds=_REFUSED_SECONDS):
                return False
        except DatabaseUnreachable as error:
            return isinstance(error.__cause__, ConnectionRefusedError)

    # Ending and proving ----------------------------------------------------------------------------------------------

    async def end(self, deadline_seconds: float) -> None:
        """End every backend in the databases that is not ours until a fresh look finds none; raise FenceIncomplete.

        Readers' sessions from before are ended too, once: what they had begun to write is rolled back. Transactions
        prepared for two-phase commit are told of by FenceIncomplete, and stay as they are.
        """
        deadline = self._clock.monotonic() + deadline_seconds
        async with self._session(locks=False) as session:
            first = await list_inside(session, self._databases, self._ours)
            entering = {one.pid for one in await list_entering(session)}
            waiting, pause, is_allowed = [*first, *_entering(entering)], _LOOK_SECONDS, True
            while waiting:
                is_allowed = await end_sessions(session, waiting)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_LOOK_SECONDS)
                before = {one.pid for one in first}
                waiting = await self._list_waiting(session, before, entering)
                if waiting and self._clock.monotonic() > deadline:
                    raise _unended(waiting, deadline_seconds, is_allowed=is_allowed)
            prepared = await list_prepared(session, self._databases)
        if prepared:
            raise FenceIncomplete(f"not ended: {_name(prepared)}", prepared=tuple(map(str, prepared)))

    async def _list_waiting(self, session: Session, before: set[int], entering: set[int]) -> list[Inside]:
        """Return who is inside, readers only if they were before, and who was on the way in and still is."""
        inside = await list_inside(session, self._databases, self._ours)
        still = entering & {one.pid for one in await list_entering(session)}
        return [one for one in inside if one.role not in self._let_in or one.pid in before] + _entering(still)

    async def prove(self) -> FenceProof:
        """Prove that nobody gets in and nobody is inside; raise FenceIncomplete with what speaks against it.

        A new connection of the probe role is refused, where there is one; rules and rights are read in any case; two
        looks apart find nobody inside, and no subscription is enabled.
        """
        begun = self._clock.monotonic()
        async with self._session(locks=False) as session:
            found = await self._find_open(session)
            if found is not None:
                raise FenceIncomplete(found)
            is_probed, how = await self._probe()
            for look in range(2):
                if look:
                    await asyncio.sleep(_LOOKS_APART_SECONDS)
                inside = await list_inside(session, self._databases, self._let_in)
                if inside:
                    raise FenceIncomplete(f"inside: {_name(inside)}", sessions=tuple(map(str, inside)))
            passing: tuple[str, ...] = ()
            if self.strength is FenceStrength.LIMIT:
                passing = await limits.list_superusers(session, self._let_in)
        text = f"strength {self.strength}: {how}; nobody was inside at two looks"
        return FenceProof(self.strength, is_probed, text, passing, self._clock.monotonic() - begun)

    async def _probe(self) -> tuple[bool, str]:
        catalog = "rules read" if self.strength is FenceStrength.HBA else "rights read"
        if self._fencing.probe_dsn is None:
            return False, f"{catalog}, no connection tried ([fencing] probe_dsn is not set)"
        try:
            entered = await find_entered(self._fencing.probe_dsn.get_secret_value(), self._databases)
        except ProbeUnusable as error:
            return False, f"{catalog}, no connection tried (the probe role cannot log in: {error})"
        if entered:
            raise FenceIncomplete(f"the probe role was let into {', '.join(entered)}")
        return True, f"{catalog}, the probe role was refused"

    async def list_prepared(self) -> list[PreparedTransaction]:
        """Return the transactions prepared in the databases."""
        async with self._session(locks=False) as session:
            return await list_prepared(session, self._databases)

    async def rollback_prepared(self) -> None:
        """Roll all of them back; raise RightsMissing for one that another role prepared than we may act as."""
        for prepared in await self.list_prepared():
            await rollback_prepared(self._dsn, prepared)
            _log.warning("prepared transaction rolled back", extra={"transaction": str(prepared)})

    # The role that applies -------------------------------------------------------------------------------------------

    async def stop_apply(self, deadline_seconds: float) -> None:
        """Stop the role that applies: no login, no session, guard rows closed.

        Raises ApplyNotStopped at the deadline.
        """
        await apply_role.stop_apply(self._dsn, self._apply_role, self._databases, deadline_seconds)

    async def resume_apply(self) -> None:
        """Let it log in and write again."""
        await apply_role.resume_apply(self._dsn, self._apply_role, self._databases)

    # -----------------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _session(self, *, locks: bool = True) -> AsyncIterator[Session]:
        if not self._is_migrated:
            await migrate(self._dsn, package="shared.fencing.migrations", schema="fence")
            self._is_migrated = True
        async with open_session(self._dsn, lock_timeout_seconds=_LOCK_SECONDS) as session:
            with translated("fencing the databases"):
                if locks:
                    await hold_lock(session, self._clock)
                yield session

    async def _judge(self, session: Session) -> RulesJudged:
        if self._fencing.hba_list is None:
            return RulesJudged("[fencing] hba_list is not set", frozenset())
        strange = [name for name in self._databases if not is_listable(name)]
        if strange:
            return RulesJudged(f"pg_hba.conf cannot name {strange[0]!r}", frozenset())
        return await read_rules(session, self._databases, self._let_in)

    async def _load_rules(self, session: Session, wanted: frozenset[str]) -> tuple[FenceStrength, str | None]:
        """Have the server take the list; return the strength it gives, and why it is less than asked."""
        judged = await self._judge(session)
        if judged.strength is FenceStrength.HBA:
            if judged.names != wanted:
                return FenceStrength.LIMIT, "pg_hba.conf names another list than [fencing] hba_list"
            if await reload_rules(session, self._dsn, self._clock):
                return FenceStrength.HBA, None
            return FenceStrength.LIMIT, "the server did not load pg_hba.conf: look at its log"
        return judged.strength, judged.problem if self._fencing.hba_list is not None else None

    async def _find_open(self, session: Session) -> str | None:
        """Return what is not closed, in words; sets the strength."""
        judged = await self._judge(session)
        self._note(judged.strength, [judged.problem] if judged.problem and self._fencing.hba_list else [])
        enabled = await subscriptions.list_enabled(session, self._databases)
        if enabled:
            return f"subscription {enabled[0]} is enabled"
        missing = [name for name in self._databases if name not in judged.names]
        if judged.strength is FenceStrength.HBA and not missing:
            return None
        found = await limits.list_open(session, self._databases, self._let_in)
        if judged.strength is FenceStrength.LIMIT:
            first = next(iter(found), None)
            return None if first is None else f"database {first} {found[first]}"
        if found or not await limits.are_here(session, missing):  # whoever makes one that is not listed finds it open
            return f"pg_hba.conf lets applications into {', '.join(missing)}"
        self.strength = FenceStrength.LIMIT
        return None

    async def _limit(self, session: Session, databases: Sequence[str]) -> list[str]:
        problems = []
        for database in databases:
            try:
                await limits.close_database(session, database, self._let_in)
            except asyncpg.InsufficientPrivilegeError as error:
                problems.append(f"our role may not close database {database}: {error}")
        return problems

    def _note(self, strength: FenceStrength, problems: Sequence[str]) -> None:
        self.strength, problem = strength, "; ".join(problems) or None
        if problem is not None and problem != self.problem:
            _log.warning("the fence has a problem", extra={"strength": strength.value, "detail": problem})
        self.problem = problem


def _entering(pids: set[int]) -> list[Inside]:
    return [Inside(pid, None, None, "", "starting", is_superuser=True, started_at=None) for pid in sorted(pids)]


def _name(found: Sequence[object]) -> str:
    names = ", ".join(map(str, found[:_NAMED]))
    return names if len(found) <= _NAMED else f"{names} and {len(found) - _NAMED} more"


def _unended(waiting: Sequence[Inside], deadline_seconds: float, *, is_allowed: bool) -> FenceIncomplete:
    return FenceIncomplete(
        f"still inside after {deadline_seconds:g} s: {_name(waiting)}",
        hint=None if is_allowed else "Our role may not end sessions of superusers: run docs/roles.sql again.",
        sessions=tuple(map(str, waiting)),
    )
