"""One script of an application played in several sessions: what it gets back, and who waits for whom.

It knows nothing of capture: a test plays a script in a database with capture and in one without, and compares.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from lab.cluster import Cluster

Connection = Any
APPLICATION: Final = "application"
SUPERUSER_SESSION: Final = "s"
READER: Final = "r"
OURS: Final = "warmstandby"

_LOOK_SECONDS: Final = 0.02
_LOOKS: Final = 4  # a wait seen so often in a row is one
_PATIENCE_SECONDS: Final = 20.0
_ROWS: Final = ("SELECT", "TABLE", "SHOW", "VALUES")

#: Tables that many cases begin with.
T: Final = "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, i FROM generate_series(1, 3) AS i;"
U: Final = "CREATE TABLE u (id int PRIMARY KEY, v int); INSERT INTO u SELECT i, i FROM generate_series(1, 3) AS i;"

STATE: Final = """
SELECT c.relname, c.relkind::text, c.relpersistence::text, c.relreplident::text, c.relhastriggers,
       (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated,
                                    a.attidentity), ', ' ORDER BY a.attnum)
          FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       (SELECT string_agg(x.conname || ' ' || pg_get_constraintdef(x.oid), ', ' ORDER BY x.conname)
          FROM pg_constraint AS x WHERE x.conrelid = c.oid) AS constraints,
       (SELECT string_agg(pg_get_indexdef(i.indexrelid) || i.indisvalid || i.indisreplident, ', '
                          ORDER BY i.indexrelid::regclass::text)
          FROM pg_index AS i WHERE i.indrelid = c.oid) AS indexes,
       (SELECT string_agg(pg_get_triggerdef(t.oid), ', ' ORDER BY t.tgname)
          FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) AS triggers,
       (SELECT string_agg(h.inhparent::regclass::text, ', ') FROM pg_inherits AS h WHERE h.inhrelid = c.oid) AS parents
  FROM pg_class AS c
 WHERE c.relnamespace = to_regnamespace($1)
 ORDER BY c.relname
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A script in a schema of its own: lines `session statement`, one step each, `s` being a superuser's session.

    A session that waits has its next step when its statement has ended.

    ``setup`` is run by the application's role before capture comes, ``before`` by a superuser before that. ``errors``
    are the SQLSTATEs that the application gets, ``waits`` how often a statement waits for another, without capture.
    """

    name: str
    setup: str
    script: str
    before: str = ""
    errors: tuple[str, ...] = ()
    waits: int = 0
    since: int = 15

    @property
    def steps(self) -> list[tuple[str, str]]:
        """Return the script's steps; a line that begins with a blank goes on with the statement above."""
        steps: list[tuple[str, str]] = []
        for line in self.script.strip().splitlines():
            if line.startswith(" "):
                session, statement = steps.pop()
                steps.append((session, f"{statement}\n{line}"))
            elif line:
                session, _, statement = line.partition(" ")
                steps.append((session, statement.strip()))
        return steps


@dataclass(frozen=True, slots=True)
class Trace:
    """What happened, as lines that are the same in both databases if the application cannot tell them apart."""

    lines: tuple[str, ...]
    errors: tuple[str, ...]
    waits: int


@dataclass(slots=True)
class Stage:
    """A database and the sessions that play in it."""

    cluster: Cluster
    database: str
    reader: Callable[[str], Awaitable[None]] | None = None
    """What a step of the session `r` does: that session is not the application's."""
    _sessions: dict[str, Connection] = field(default_factory=dict)
    _pids: dict[int, str] = field(default_factory=dict)
    _running: dict[str, tuple[str, asyncio.Task[str]]] = field(default_factory=dict)
    _lines: list[str] = field(default_factory=list)
    _errors: list[str] = field(default_factory=list)
    _waits: int = 0

    async def play(self, case: Case) -> Trace:
        """Play the script to its end; a statement that neither ends nor waits for somebody fails."""
        async with AsyncExitStack() as stack:
            observer = await asyncpg.connect(self.cluster.dsn())
            stack.push_async_callback(observer.close, timeout=5)
            stack.push_async_callback(self._end_all)
            for session, statement in case.steps:
                if session == READER:
                    assert self.reader is not None
                    await self.reader(statement)
                else:
                    await self._begin(session, statement, case)
                    await self._settle(observer, session, is_new=True)
                for waiting in list(self._running):
                    if waiting != session:
                        await self._settle(observer, waiting, is_new=False)
            for waiting in list(self._running):
                await self._end(waiting)
        return Trace(tuple(self._lines), tuple(self._errors), self._waits)

    async def _begin(self, session: str, statement: str, case: Case) -> None:
        if session in self._running:
            await self._end(session)
        if session not in self._sessions:
            user = "postgres" if session == SUPERUSER_SESSION else APPLICATION
            connection: Connection = await asyncpg.connect(
                self.cluster.dsn(self.database, user), statement_cache_size=0
            )
            await connection.execute(f"SET search_path = {case.name}, public; SET client_min_messages = error")
            self._sessions[session] = connection
            self._pids[connection.get_server_pid()] = session
        text = statement.replace(":database", self.database)
        self._running[session] = (statement, asyncio.create_task(self._run(self._sessions[session], text)))

    async def _run(self, connection: Connection, statement: str) -> str:
        try:
            if statement.startswith(_ROWS):
                return repr([tuple(row) for row in await connection.fetch(statement)])
            return str(await connection.execute(statement))
        except asyncpg.PostgresError as error:
            self._errors.append(str(error.sqlstate))
            return f"{error.sqlstate} {error.args[0]}"

    async def _settle(self, observer: Connection, session: str, *, is_new: bool) -> None:
        """Go on when the session's statement has ended, or surely waits."""
        statement, task = self._running[session]
        connection = self._sessions[session]
        seen: list[str] = []
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while len(seen) < _LOOKS:
            done, _ = await asyncio.wait([task], timeout=_LOOK_SECONDS)
            if done:
                await self._end(session)
                return
            blockers = await self._blockers(observer, connection.get_server_pid())
            seen = [*seen, blockers] if blockers and blockers in ([*seen[-1:]] or [blockers]) else []
            now = asyncio.get_running_loop().time()
            assert now < deadline, f"{session}: {statement} neither ends nor waits for somebody"
        if is_new:
            self._waits += 1
            self._lines.append(f"{session}: {statement} waits for {seen[0]}")

    async def _end(self, session: str) -> None:
        """Note how the session's statement ended."""
        statement, task = self._running.pop(session)
        try:
            result = await asyncio.wait_for(task, _PATIENCE_SECONDS)
        except TimeoutError:
            raise AssertionError(f"{session}: {statement} waits for ever, after\n" + "\n".join(self._lines)) from None
        self._lines.append(f"{session}: {statement} -> {result}")

    async def _blockers(self, observer: Connection, pid: int) -> str:
        rows = await observer.fetch(
            "SELECT p.pid, a.application_name, a.backend_type FROM unnest(pg_blocking_pids($1)) AS p (pid) "
            "LEFT JOIN pg_stat_activity AS a ON a.pid = p.pid",
            pid,
        )
        return ", ".join(sorted({self._name(row) for row in rows}))

    def _name(self, row: Any) -> str:
        if row["pid"] in self._pids:
            return self._pids[row["pid"]]
        if row["application_name"] == OURS and self.reader is not None:
            return READER
        return f"{row['backend_type']} {row['application_name']} {row['pid']}"

    async def _end_all(self) -> None:
        for connection in self._sessions.values():
            connection.terminate()
        await asyncio.gather(*(task for _, task in self._running.values()), return_exceptions=True)


async def read_state(cluster: Cluster, database: str, schema: str) -> Sequence[tuple[Any, ...]]:
    """Return what the catalogs say of a schema, and every table's rows."""
    connection: Connection = await asyncpg.connect(cluster.dsn(database))
    try:
        await connection.execute("SET search_path = pg_catalog")
        state = [tuple(row) for row in await connection.fetch(STATE, schema)]
        tables = [row[0] for row in state if row[1] in ("r", "p")]
        for table in tables:
            rows = await connection.fetch(f'SELECT t::text FROM {schema}."{table}" AS t ORDER BY 1')
            state.append((table, [row[0] for row in rows]))
        return state
    finally:
        await connection.close()
