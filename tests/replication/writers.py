"""An application of six writers for the tests: what it writes always holds its rules, however it is looked at.

The rules: foreign keys, and a sum over two tables that never changes. A writer lives through the death of its server.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import asyncpg

from shared.postgres.sessions import Session

SCHEMA: Final = """
CREATE TABLE saving (id int PRIMARY KEY, amount int NOT NULL);
CREATE TABLE giro (id int PRIMARY KEY, amount int NOT NULL, seat int NOT NULL UNIQUE);
INSERT INTO saving SELECT n, 1000 FROM generate_series(1, 60) AS n;
INSERT INTO giro SELECT n, 1000, n FROM generate_series(1, 60) AS n;

CREATE TABLE owner (id bigserial PRIMARY KEY, name text NOT NULL);
CREATE TABLE device (
    owner_id bigint REFERENCES owner ON DELETE CASCADE, number int, kind text NOT NULL DEFAULT 'phone',
    PRIMARY KEY (owner_id, number)
);
CREATE TABLE reading (
    region text, owner_id bigint, number int, at int, value double precision,
    PRIMARY KEY (owner_id, number, at, region),
    FOREIGN KEY (owner_id, number) REFERENCES device ON UPDATE CASCADE ON DELETE CASCADE
) PARTITION BY LIST (region);
CREATE TABLE reading_north PARTITION OF reading FOR VALUES IN ('north');
CREATE TABLE reading_south PARTITION OF reading FOR VALUES IN ('south');
CREATE TABLE reading_other PARTITION OF reading DEFAULT;
INSERT INTO owner (name) SELECT 'owner ' || n FROM generate_series(1, 40) AS n;
INSERT INTO device (owner_id, number) SELECT o, n FROM generate_series(1, 40) AS o, generate_series(1, 3) AS n;
INSERT INTO reading SELECT (ARRAY['north', 'south', 'east'])[1 + at % 3], owner_id, number, at, random()
  FROM device, generate_series(1, 4) AS at;

CREATE TABLE board (id int PRIMARY KEY, note text);
INSERT INTO board SELECT n, 'note' FROM generate_series(1, 30) AS n;
"""
TOTAL: Final = 120_000
BROKEN_RULES: Final = f"""
SELECT 'the balance' WHERE (SELECT sum(amount) FROM public.saving) + (SELECT sum(amount) FROM public.giro) <> {TOTAL}
UNION ALL SELECT 'a device without owner' FROM public.device AS d
 WHERE NOT EXISTS (SELECT FROM public.owner AS o WHERE o.id = d.owner_id)
UNION ALL SELECT 'a reading without device' FROM public.reading AS r
 WHERE NOT EXISTS (SELECT FROM public.device AS d WHERE (d.owner_id, d.number) = (r.owner_id, r.number))
"""
"""Returns no row while the rules hold."""

TRUNCATE_LOCK: Final = 4711
"""Advisory lock that a TRUNCATE takes: who holds it too can trust a snapshot of his own."""

_NAME: Final = "writer"
_END_WRITERS: Final = f"""
SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
 WHERE application_name = '{_NAME}' AND datname = current_database()
"""
_LOST: Final = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.CannotConnectNowError)
_REFUSED: Final = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.TransactionRollbackError,
    asyncpg.DivisionByZeroError,
)
_PAUSE_SECONDS: Final = 0.03
_gids = itertools.count(1)


@dataclass(slots=True)
class Application:
    """Its writers, who count what they did."""

    dsn: str
    chance: random.Random
    committed: int = 0
    prepared: int = 0
    rolled_back: int = 0
    truncated: int = 0

    @asynccontextmanager
    async def writing(self, writers: int = 6) -> AsyncIterator[None]:
        """Write for the time of a block; nothing of the writers is left at its end, prepared or running."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._run(number, random.Random(self.chance.random()))) for number in range(writers)
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
        await self._end_all()

    async def _end_all(self) -> None:
        session = await asyncpg.connect(self.dsn, statement_cache_size=0)
        await session.execute(_END_WRITERS)
        for row in await session.fetch("SELECT gid FROM pg_prepared_xacts WHERE starts_with(gid, 'writer-')"):
            await session.execute(f"ROLLBACK PREPARED '{row['gid']}'")
        await session.close()

    async def _run(self, number: int, chance: random.Random) -> None:
        while True:
            try:
                session = await asyncpg.connect(
                    self.dsn, statement_cache_size=0, server_settings={"application_name": _NAME}
                )
            except (*_LOST, asyncpg.PostgresError):
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            try:
                with suppress(*_LOST):
                    await self._use(session, number, chance)
            finally:
                session.terminate()

    async def _use(self, session: Session, number: int, chance: random.Random) -> None:
        mine = f"writer-{number}-"
        for row in await session.fetch("SELECT gid FROM pg_prepared_xacts WHERE starts_with(gid, $1)", mine):
            await self._end_prepared(session, row["gid"], chance)  # the server died in between
        while True:
            await asyncio.sleep(chance.uniform(0, _PAUSE_SECONDS))
            try:
                await self._transact(session, number, chance)
            except _REFUSED:
                await session.execute("ROLLBACK")
                self.rolled_back += 1

    async def _transact(self, session: Session, number: int, chance: random.Random) -> None:
        """Do one transaction: whole in one message, or slowly, or prepared; with nested ones given up inside."""
        parts = [chance.choice(_WORK)(chance) for _ in range(chance.choice((1, 1, 2, 3)))]
        if chance.random() < 0.3:
            given_up = f"SAVEPOINT x; {chance.choice(_WORK)(chance)}; ROLLBACK TO x"
            parts.insert(chance.randrange(len(parts) + 1), given_up)
        if chance.random() < 0.2:
            parts.append(f"SAVEPOINT x; {chance.choice(_WORK)(chance)}; RELEASE x")
        begin = f"BEGIN; SET LOCAL synchronous_commit = {chance.choice(('on', 'off', 'local'))}"
        end = chance.choices(("COMMIT", "ROLLBACK", "PREPARE", "TRUNCATE"), (76, 10, 13, 0.5))[0]
        if end == "TRUNCATE":
            await session.execute(f"{begin}; {_refill(chance)}; COMMIT")
            self.truncated += 1
        elif end == "PREPARE":
            gid = f"writer-{number}-{next(_gids)}"
            await session.execute(f"{begin}; {'; '.join(parts)}; PREPARE TRANSACTION '{gid}'")
            await asyncio.sleep(chance.uniform(0, 0.3))
            await self._end_prepared(session, gid, chance)
        elif chance.random() < 0.2:
            await session.execute(begin)
            for part in parts:
                await session.execute(part)
                await asyncio.sleep(chance.uniform(0, 0.2))
            await session.execute(end)
        else:
            await session.execute(f"{begin}; {'; '.join(parts)}; {end}")
        self.rolled_back += end == "ROLLBACK"
        self.committed += end != "ROLLBACK"

    async def _end_prepared(self, session: Session, gid: str, chance: random.Random) -> None:
        await session.execute(f"{chance.choice(('COMMIT', 'COMMIT', 'ROLLBACK'))} PREPARED '{gid}'")
        self.prepared += 1


def _transfer(chance: random.Random) -> str:
    """All or nothing: an account that is away just now fails the whole transaction."""
    amount, here, there = chance.randint(1, 50), chance.randint(1, 60), chance.randint(1, 60)
    source, target = chance.sample(("saving", "giro"), 2)
    return (
        f"WITH taken AS (UPDATE {source} SET amount = amount - {amount} WHERE id = {here} RETURNING 1),"
        f" given AS (UPDATE {target} SET amount = amount + {amount} WHERE id = {there} RETURNING 1)"
        " SELECT 1 / (SELECT count(*) FROM taken) / (SELECT count(*) FROM given)"
    )


def _close_and_open_account(chance: random.Random) -> str:
    """A row is deleted and its key inserted again, its money with another."""
    here, there = sorted(chance.sample(range(1, 61), 2))
    return (
        f"WITH gone AS (DELETE FROM saving WHERE id = {here} RETURNING amount),"
        " given AS (UPDATE saving AS s SET amount = s.amount + g.amount FROM gone AS g"
        f" WHERE s.id = {there} RETURNING 1)"
        f" SELECT 1 / (SELECT count(*) FROM given); INSERT INTO saving VALUES ({here}, 0)"
    )


def _swap_seats(chance: random.Random) -> str:
    """Two unique values change places."""
    here, there = sorted(chance.sample(range(1, 61), 2))
    return (
        f"UPDATE giro SET seat = -seat WHERE id IN ({here}, {there});"
        "UPDATE giro AS g SET seat = -o.seat FROM giro AS o"
        f" WHERE (g.id, o.id) IN (({here}, {there}), ({there}, {here}))"
    )


def _change_key(chance: random.Random) -> str:
    """k1 → k2, and sometimes back."""
    here, far = chance.randint(1, 60), chance.randint(1000, 1060)
    there = f"UPDATE giro SET id = {far} WHERE id = {here}"
    back = f"UPDATE giro SET id = {here} WHERE id = {far}"
    return chance.choice((f"{there}; {back}", there, back))


def _join(chance: random.Random) -> str:
    return (
        "WITH o AS (INSERT INTO owner (name) VALUES ('new') RETURNING id),"
        " d AS (INSERT INTO device (owner_id, number) SELECT id, n FROM o, generate_series(1, 3) AS n RETURNING *)"
        f" SELECT count(*) FROM d; INSERT INTO reading SELECT 'north', owner_id, number, {chance.randint(5, 99)}, 1"
        " FROM device WHERE owner_id = (SELECT max(id) FROM owner) ON CONFLICT DO NOTHING"
    )


def _leave(chance: random.Random) -> str:
    which = f"ORDER BY {chance.choice(('id', 'id DESC'))} OFFSET {chance.randint(0, 30)} LIMIT 1"
    return f"DELETE FROM owner WHERE id = (SELECT id FROM owner {which})"


def _renumber(chance: random.Random) -> str:
    """A composite key changes, and what refers to it follows."""
    number = chance.randint(1, 3)
    which = f"number % 10 = {number} AND owner_id % 13 = {chance.randint(0, 12)}"
    return f"UPDATE device SET number = number + {chance.choice((10, -10))} WHERE {which}"


def _move(chance: random.Random) -> str:
    """From leaf to leaf."""
    here, there = chance.sample(("north", "south", "east", "west"), 2)
    return f"UPDATE reading SET region = '{there}' WHERE region = '{here}' AND owner_id % 11 = {chance.randint(0, 10)}"


def _measure(chance: random.Random) -> str:
    which = f"owner_id % 7 = {chance.randint(0, 6)} AND at % 4 = {chance.randint(0, 3)}"
    return f"UPDATE reading SET value = {chance.random()} WHERE {which}"


def _pin(chance: random.Random) -> str:
    note = chance.randint(1, 60)
    return (
        f"INSERT INTO board VALUES ({note}, 'pinned') ON CONFLICT (id) DO UPDATE SET note = board.note || '.';"
        f"DELETE FROM board WHERE id = {chance.randint(1, 60)}"
    )


def _refill(chance: random.Random) -> str:
    return (
        f"SELECT pg_advisory_xact_lock({TRUNCATE_LOCK}); TRUNCATE board;"
        f"INSERT INTO board SELECT n, 'after' FROM generate_series(1, {chance.randint(0, 40)}) AS n"
    )


_WORK: Final[Sequence[Callable[[random.Random], str]]] = (
    _transfer,
    _transfer,
    _transfer,
    _swap_seats,
    _close_and_open_account,
    _change_key,
    _join,
    _leave,
    _renumber,
    _move,
    _measure,
    _pin,
)
