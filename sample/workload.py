"""The sample application at work: writers that run its transactions at a rate and count what they committed."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg

from sample.transactions.catalogue import TRANSACTIONS
from sample.transactions.model import Connection, Dice, Kind, Transaction

#: What two writers may do to each other; the transaction was rolled back by the server and nothing is wrong.
CONFLICTS: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)

LIMITS: Final = """
    SELECT coalesce((SELECT max(id) FROM identity.users), 0)::integer AS last_user,
           coalesce((SELECT max(id) FROM fleet.apps), 0) AS last_app,
           coalesce((SELECT max(id) FROM policy.policies), 0) AS last_policy,
           coalesce((SELECT max(id) FROM policy.configurations), 0) AS last_configuration,
           coalesce((SELECT max(id) FROM billing.account), 0) AS last_account,
           (SELECT count(*) FROM policy."Settings")::integer AS last_setting,
           coalesce((SELECT max(id) FROM telemetry.audit_log), 0)::integer AS last_audit
"""


class WorkloadError(Exception):
    """A transaction of the sample application failed for a reason that is not another writer."""


@dataclass(frozen=True, slots=True)
class WorkloadReport:
    """What the writers did so far."""

    committed: Mapping[Kind, int]
    rolled_back: int  # on purpose
    conflicts: int  # serialization failures, deadlocks, lock timeouts
    idle: int  # committed, but there was nothing to do
    rows_written: int  # in committed transactions, without what triggers and cascades wrote
    seconds: float

    @property
    def transactions(self) -> int:
        """Count the committed transactions that wrote something."""
        return sum(self.committed.values())

    @property
    def transactions_per_second(self) -> float:
        """Say how fast transactions were committed."""
        return self.transactions / self.seconds if self.seconds > 0 else 0.0

    @property
    def writes_per_second(self) -> float:
        """Say how fast rows were written."""
        return self.rows_written / self.seconds if self.seconds > 0 else 0.0


class Workload:
    """Writers over one database: `run` once, ask `report`, `hold` and `leave_out` at any time.

    What a writer's n-th transaction chooses depends on the seed, the writer and n alone. The first round of each writer
    runs every kind of transaction once; after that the weights decide.
    """

    def __init__(
        self,
        dsn: str,
        *,
        writers: int = 2,
        rate_per_second: float | None = None,
        seed: int = 1,
        transactions: int | None = None,
    ) -> None:
        """Set `rate_per_second` for all writers together (None: no limit); `transactions`: stop after so many."""
        self._dsn = dsn
        self._writers = writers
        self._rate_per_second = rate_per_second
        self._seed = seed
        self._transactions = transactions
        self._committed: Counter[Kind] = Counter()
        self._rolled_back = 0
        self._conflicts = 0
        self._idle = 0
        self._rows_written = 0
        self._started_at: float | None = None
        self._seconds: float | None = None
        self._left_out: frozenset[Kind] = frozenset()
        self._busy = 0
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._is_quiet = asyncio.Event()
        self._is_quiet.set()

    async def run(self, stop: asyncio.Event) -> WorkloadReport:
        """Write until `stop` is set; raise WorkloadError when a transaction fails for a reason of its own."""
        self._started_at = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                for writer in range(self._writers):
                    group.create_task(self._write(writer, stop))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self._seconds = time.monotonic() - self._started_at
        return self.report()

    def report(self) -> WorkloadReport:
        """Say what was done so far."""
        if self._seconds is not None:
            seconds = self._seconds
        else:
            seconds = 0.0 if self._started_at is None else time.monotonic() - self._started_at
        return WorkloadReport(
            committed=dict(self._committed),
            rolled_back=self._rolled_back,
            conflicts=self._conflicts,
            idle=self._idle,
            rows_written=self._rows_written,
            seconds=seconds,
        )

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Keep all writers between two of their transactions for the time of a block."""
        self._may_write.clear()
        try:
            await self._is_quiet.wait()
            yield
        finally:
            self._may_write.set()

    @contextmanager
    def leave_out(self, *kinds: Kind) -> Iterator[None]:
        """Begin no transaction of these kinds for the time of a block; those at work end as they would."""
        self._left_out = frozenset(kinds)
        try:
            yield
        finally:
            self._left_out = frozenset()

    async def _write(self, writer: int, stop: asyncio.Event) -> None:
        connection = await asyncpg.connect(self._dsn, server_settings={"application_name": f"sample writer {writer}"})
        try:
            limits = dict(await connection.fetchrow(LIMITS) or {})
            kinds = choose_kinds(self._seed, writer, two_phase=await may_prepare(connection))
            await forget_prepared(connection, writer)
            for number in itertools.count():
                if not await self._is_turn(writer, number, stop):
                    return
                while not self._may_write.is_set():  # again, because the next block may have begun before we woke
                    await self._may_write.wait()
                kind = next(kinds)
                if kind in self._left_out:
                    continue
                dice = Dice(random=random.Random(f"{self._seed}/{writer}/{number}"), **limits)
                try:
                    await self._perform(connection, kind, dice, f"sample_{writer}_{number}")
                except CONFLICTS:
                    self._conflicts += 1
                except asyncpg.PostgresError as error:
                    message = f"Transaction {number} ({kind}) of writer {writer}, seed {self._seed}, failed: {error}"
                    raise WorkloadError(message) from error
        finally:
            await connection.close(timeout=10)

    async def _is_turn(self, writer: int, number: int, stop: asyncio.Event) -> bool:
        """Wait for this writer's next turn; False when it is time to stop."""
        if self._transactions is not None and number * self._writers + writer >= self._transactions:
            return False
        if self._rate_per_second is None or self._started_at is None:
            return not stop.is_set()
        due_at = self._started_at + (number * self._writers + writer) / self._rate_per_second
        try:
            await asyncio.wait_for(stop.wait(), max(due_at - time.monotonic(), 0.0))
        except TimeoutError:
            return not stop.is_set()
        return False

    async def _perform(self, connection: Connection, kind: Kind, dice: Dice, name: str) -> None:
        self._busy += 1
        self._is_quiet.clear()
        try:
            await self._transact(connection, kind, dice, name)
        finally:
            self._busy -= 1
            if not self._busy:
                self._is_quiet.set()

    async def _transact(self, connection: Connection, kind: Kind, dice: Dice, name: str) -> None:
        _, act = TRANSACTIONS[kind]
        if kind is Kind.TWO_PHASE_CREDITS:
            rows = await commit_in_two_phases(connection, dice, act, name)
        else:
            transaction = connection.transaction()
            await transaction.start()
            try:
                if dice.random.random() < 0.25:
                    await connection.execute("SET LOCAL synchronous_commit = off")
                rows = await act(connection, dice)
            except BaseException:
                if not connection.is_closed():
                    await transaction.rollback()
                raise
            if kind is Kind.ROLLBACK:
                await transaction.rollback()
                self._rolled_back += 1
                return
            await transaction.commit()
        if rows:
            self._committed[kind] += 1
            self._rows_written += rows
        else:
            self._idle += 1


def choose_kinds(seed: int, writer: int, *, two_phase: bool) -> Iterator[Kind]:
    """Yield what a writer does, one after the other: every kind once, then by weight."""
    dice = random.Random(f"{seed}/{writer}")
    kinds = [kind for kind in TRANSACTIONS if two_phase or kind is not Kind.TWO_PHASE_CREDITS]
    weights = [TRANSACTIONS[kind][0] for kind in kinds]
    yield from dice.sample(kinds, len(kinds))
    while True:
        yield dice.choices(kinds, weights)[0]


async def may_prepare(connection: Connection) -> bool:
    """Say whether the server allows prepared transactions."""
    return bool(await connection.fetchval("SELECT current_setting('max_prepared_transactions')::integer > 0"))


async def forget_prepared(connection: Connection, writer: int) -> None:
    """Roll back what a killed run of this writer left prepared."""
    left = await connection.fetch(
        "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() AND gid ^@ $1", f"sample_{writer}_"
    )
    for (name,) in left:
        await connection.execute(f"ROLLBACK PREPARED '{name}'")


async def commit_in_two_phases(connection: Connection, dice: Dice, act: Transaction, name: str) -> int:
    """Do the work, prepare it, wait a moment, commit it."""
    await connection.execute("BEGIN")
    try:
        rows = await act(connection, dice)
        await connection.execute(f"PREPARE TRANSACTION '{name}'")
    except BaseException:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise
    await asyncio.sleep(dice.random.random() / 100)
    await connection.execute(f"COMMIT PREPARED '{name}'")
    return rows
