"""Random programs of an application, played on a source while a copy follows it, and judged at each sync.

A program is a list of steps (`random_steps`): it makes, changes and drops definitions of all kinds, writes rows, does
so in transactions that it may take back, and lets the copy sync in between. After each sync the copy equals the source
in its rows, those of unlogged tables and large objects too, its sequences, what its materialized views are, and its
definitions as pg_dump writes them. A statement that the server refuses is no part of the program, but one that it
refuses because of us is a failure.

A failure shows the program as a script: the statements that were run, in order, with `-- sync` where one was.
Hypothesis shortens it first, for as long as `SHRINKING_SECONDS`: a program takes seconds, so the shortest is not always
reached; what is left after that time is told as it is.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from lab.database import Database
from sample.comparison import compare_databases
from sample.comparison_result import GOOD
from sample.transactions.model import Connection
from services.standby_controller.outcome import ComponentOutcome
from shared.replication.model import Manifest, SyncKind
from tests.replication.definitions import find_unlike, read_definitions, restore_definitions
from tests.replication.judge import check_all_equal, check_equal, open_session
from tests.replication.random_scene import Draws, Inapplicable, read_scene
from tests.replication.random_steps import KINDS, Control, Step
from tests.replication.random_tables import PERSON
from tests.replication.world import Place, World
from tests.tier import rounds

SHRINKING_SECONDS: Final = rounds(240.0, 900.0)
BASE: Final = f"""
CREATE TABLE public.noted (what int);
CREATE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.noted VALUES (1);
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
GRANT USAGE, CREATE ON SCHEMA public TO {PERSON};
"""
_MEANWHILE: Final = ("insert", "update", "delete", "truncate", "add_column", "drop_table", "make_table", "write_anew")
_SETTINGS: Final = {"search_path": "", "lock_timeout": "2s", "statement_timeout": "30s"}
_OUR_FAULT: Final = re.compile(r"publication|warmstandby|does not have a replica identity")
_KNOWN: Final = re.compile(r"cannot change table .* to unlogged because it is part of a publication")
_WAITED: Final = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.QueryCanceledError)
_NAME_OF_NOT_NULL: Final = re.compile(r"CONSTRAINT (\"[^\"]+\"|\S+) (?=NOT NULL)")
_STATE: Final = """
SELECT 'large object ' || oid AS name, coalesce(md5(lo_get(oid)), '') || coalesce(lomacl::text, '') AS state
  FROM pg_largeobject_metadata
UNION ALL
SELECT 'materialized view ' || oid::regclass, relispopulated::text FROM pg_class WHERE relkind = 'm'
ORDER BY 1
"""


@dataclass(slots=True)
class Tally:
    """What became of the steps of all programs."""

    programs: int = 0
    done: int = 0
    refused: dict[str, list[str]] = field(default_factory=dict)
    """What the server said, by kind of step."""
    deltas: int = 0
    changes: int = 0
    """Deltas that changed definitions."""
    seeds: list[str] = field(default_factory=list)
    """Why each was one."""

    def __str__(self) -> str:
        refused = sum(map(len, self.refused.values()))
        return (
            f"{self.programs} programs: {self.done} statements, {refused} refused; {self.deltas} deltas,"
            f" {self.changes} with definitions, {len(self.seeds)} seeds"
        )


class Play:
    """One program on its way."""

    def __init__(self, world: World, session: Connection, tally: Tally) -> None:
        self.script: list[str] = []
        self._world = world
        self._session = session
        self._tally = tally
        self._begun_at: int | None = None
        """Where the open transaction begins in the script."""
        self._savepoints: list[int] = []

    async def play(self, steps: Sequence[Step]) -> None:
        """Play all steps, then sync until there is nothing left to do."""
        for step in steps:
            if step.kind in KINDS:
                await self._do(step)
            else:
                await self._control(Control(step.kind), step.number)
        await self.sync()
        outcome = await self.sync()
        assert (outcome.kind, outcome.reason, outcome.rows, outcome.keys) == (SyncKind.DELTA, None, 0, 0), outcome
        await check_all_equal(self._world.place.dsn, self._world.place.copy_dsn)

    async def sync(self) -> ComponentOutcome:
        """Sync, and compare everything."""
        await self._commit()
        self.script.append("-- sync")
        outcome = await self._world.sync()
        self._count(outcome)
        place = self._world.place
        await check_rest(place)
        assert not outcome.unkept or is_beyond_dumps(place, read_definitions(place.cluster, place.dsn)), outcome.unkept
        return outcome

    async def _control(self, control: Control, number: int) -> None:
        match control:
            case Control.SYNC:
                await self.sync()
            case Control.SYNC_MEANWHILE:
                await self._sync_meanwhile(number)
            case Control.BEGIN if self._begun_at is None:
                self._begun_at = len(self.script)
                await self._run("BEGIN")
            case Control.COMMIT:
                await self._commit()
            case Control.ROLLBACK if self._begun_at is not None:
                await self._run("ROLLBACK")
                self._begun_at, self._savepoints = None, []
            case Control.SAVEPOINT if self._begun_at is not None:
                await self._run(f"SAVEPOINT s{len(self._savepoints)}")
                self._savepoints.append(len(self.script))
            case Control.ROLLBACK_TO if self._savepoints:
                self._savepoints.pop()
                await self._run(f"ROLLBACK TO s{len(self._savepoints)}")
            case _:
                pass

    async def _do(self, step: Step) -> None:
        kind = KINDS[step.kind]
        if kind.is_alone and self._begun_at is not None:
            return
        try:
            sql = kind.make(Draws(step.number), await read_scene(self._session, step.number))
        except Inapplicable:
            return
        try:
            if self._begun_at is None:
                await self._session.execute(sql)
            else:
                await self._session.execute("SAVEPOINT step")
                try:
                    await self._session.execute(sql)
                except asyncpg.PostgresError:
                    await self._session.execute("ROLLBACK TO step")
                    raise
                finally:
                    await self._session.execute("RELEASE step")
        except asyncpg.PostgresError as error:
            self._forgive(step.kind, sql, error)
        else:
            self.script.append(f"{sql};")
            self._tally.done += 1

    def _forgive(self, kind: str, sql: str, error: asyncpg.PostgresError) -> None:
        """Let a refused statement be none, unless it is refused because of us."""
        said = str(error)
        is_ours = isinstance(error, _WAITED) or (_OUR_FAULT.search(said) and not _KNOWN.search(said))
        if is_ours:
            self.script.append(f"{sql}; -- refused")
            raise AssertionError(f"the application is refused: {said}: {sql}") from error
        self._tally.refused.setdefault(kind, []).append(f"{said}: {sql}")

    async def _run(self, sql: str) -> None:
        await self._session.execute(sql)
        self.script.append(f"{sql};")

    async def _commit(self) -> None:
        """Commit what is open; what a deferred constraint refuses is no part of the program."""
        if self._begun_at is None:
            return
        begun_at, self._begun_at, self._savepoints = self._begun_at, None, []
        try:
            await self._run("COMMIT")
        except asyncpg.PostgresError as error:
            self._forgive("commit", "COMMIT", error)
            del self.script[begun_at:]

    async def _sync_meanwhile(self, number: int) -> None:
        """Sync while a statement runs, which the next sync brings."""
        await self._commit()
        self.script.append("-- sync, and once its snapshot is taken:")

        async def run(_: Manifest) -> None:
            self._world.target.client.after_open = None
            await self._do(Step(Draws(number).pick(_MEANWHILE), number))

        self._world.target.client.after_open = run
        try:
            self._count(await self._world.target.sync())
        finally:
            self._world.target.client.after_open = None
        await self.sync()

    def _count(self, outcome: ComponentOutcome) -> None:
        if outcome.kind is SyncKind.SEED:
            assert outcome.reason
            self._tally.seeds.append(outcome.reason)
        else:
            self._tally.deltas += 1
            self._tally.changes += bool(outcome.definitions)


async def check_rest(place: Place) -> None:
    """Raise AssertionError where definitions, sequences, unlogged tables, large objects or views are unlike."""
    source, copy = await asyncio.gather(
        asyncio.to_thread(read_definitions, place.cluster, place.dsn),
        asyncio.to_thread(read_definitions, place.target_cluster, place.copy_dsn),
    )
    unlike = find_unlike(source, copy)
    if unlike and is_beyond_dumps(place, source):
        unlike = find_unlike(*([_NAME_OF_NOT_NULL.sub("", line) for line in lines] for lines in (source, copy)))
    assert not unlike, unlike
    await check_equal(place.dsn, place.copy_dsn, persistence="u")
    async with open_session(place.dsn) as here, open_session(place.copy_dsn) as there:
        states = [[tuple(row) for row in await session.fetch(_STATE)] for session in (here, there)]
        assert states[0] == states[1]
    comparison = await compare_databases(place.dsn, place.copy_dsn, tables=())
    behind = [sequence for sequence in comparison.sequences if sequence.verdict not in GOOD]
    assert not behind, behind


def is_beyond_dumps(place: Place, source: list[str]) -> bool:
    """Say whether pg_dump does not tell the definitions well enough to make them again: no copy could equal them.

    Of version 18 on, where a constraint NOT NULL has the name that would be another one's by default.
    """
    scratch = Database.create(place.cluster, f"{place.component}_scratch")
    try:
        return restore_definitions(place.cluster, place.dsn, scratch.name) != source
    finally:
        scratch.drop()


async def play(place: Place, steps: Sequence[Step], tally: Tally) -> None:
    """Seed a copy, play a program beside it, and judge; an error carries the script."""
    tally.programs += 1
    async with place.open() as world:
        await world.seed()
        session = await asyncpg.connect(place.dsn, server_settings=_SETTINGS, statement_cache_size=0)
        playing = Play(world, session, tally)
        try:
            await playing.play(steps)
        except BaseException as error:
            error.add_note("\n".join(["SET search_path = '';", BASE, "-- sync", *playing.script]))
            raise
        finally:
            await session.close(timeout=10)


class Shrinking:
    """Ends the search for a shorter failing program when its time is over: then only the one that is told is played."""

    def __init__(self) -> None:
        self._failed: tuple[Step, ...] | None = None
        self._until: float | None = None

    def is_over_for(self, steps: tuple[Step, ...]) -> bool:
        """Say whether this program is not to be played any more."""
        return self._until is not None and time.monotonic() > self._until and steps != self._failed

    def note_failure(self, steps: tuple[Step, ...]) -> None:
        """Remember the last program that failed."""
        self._failed = steps
        if self._until is None:
            self._until = time.monotonic() + SHRINKING_SECONDS
