"""The comparisons: each returns the seconds of both sides for one round."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.stage import NATIVE, OURS, TABLE, NativeRival, Stage
from lab.people import Json
from lab.service import plain_environment

HOT_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Round:
    """One measured round: our seconds and the rival's."""

    ours_seconds: float
    rival_seconds: float


@dataclass(frozen=True, slots=True)
class Case:
    """A comparison; `wanted` is the highest ratio ours : rival that the design asks for."""

    name: str
    rival: str
    wanted: float
    run: Callable[[Stage], Awaitable[Round]]


async def stream(stage: Stage) -> Round:
    """Our copying phase of a seed (rows into a table without indexes) against `psql COPY | psql COPY`."""
    ours = (await _seed(stage))["components"][0]["seconds_per_phase"]["copying"]
    stage.target.psql("DROP DATABASE IF EXISTS piped WITH (FORCE)")
    stage.target.psql("CREATE DATABASE piped")
    stage.target.psql(TABLE.replace(" PRIMARY KEY", " NOT NULL"), database="piped")
    copy = (
        f"{stage.source.bin_dir}/psql -qXd '{stage.source.dsn(OURS)}' -c 'COPY accounts TO STDOUT' | "
        f"{stage.target.bin_dir}/psql -qXd '{stage.target.dsn('piped')}' -c 'COPY accounts FROM STDIN'"
    )
    return Round(ours, _run_shell(copy, stage))


async def seed(stage: Stage) -> Round:
    """A whole seed against the initial copy of a subscription."""
    ours = (await _seed(stage))["duration_seconds"]
    rival = NativeRival(stage)
    rival.prepare(with_copy=False)
    seconds = await rival.copy()
    rival.end()
    return Round(ours, seconds)


async def seed_against_dump(stage: Stage) -> Round:
    """A whole seed against pg_dump and pg_restore with two jobs each."""
    ours = (await _seed(stage))["duration_seconds"]
    stage.target.psql("DROP DATABASE IF EXISTS dumped WITH (FORCE)")
    stage.target.psql("CREATE DATABASE dumped")
    folder = Path(stage.pair.folder) / "dump"
    dump = (
        f"rm -rf '{folder}' && "
        f"{stage.source.bin_dir}/pg_dump -Fd -j2 --compress=0 -f '{folder}' -d '{stage.source.dsn(NATIVE)}' && "
        f"{stage.target.bin_dir}/pg_restore -j2 -d '{stage.target.dsn('dumped')}' '{folder}' ; rm -rf '{folder}'"
    )
    return Round(ours, _run_shell(dump, stage))


async def one_update(stage: Stage) -> Round:
    """One UPDATE of all rows, backlog drained, from the start of the sync, against a subscription catching up."""
    return await _delta(stage, _update_all, is_drained=True)


async def one_update_from_commit(stage: Stage) -> Round:
    """The same with nothing drained before the sync."""
    return await _delta(stage, _update_all, is_drained=False)


async def hot_rows(stage: Stage) -> Round:
    """As many updates of the same 10,000 rows, backlog drained, from the start of the sync."""
    return await _delta(stage, _update_hot, is_drained=True)


async def hot_rows_from_commit(stage: Stage) -> Round:
    """The same with nothing drained before the sync."""
    return await _delta(stage, _update_hot, is_drained=False)


CASES: Final = (
    Case("stream", "psql COPY | psql COPY", 1 / 0.8, stream),
    Case("seed", "subscription's initial copy", 0.7, seed),
    Case("seed", "pg_dump -j2, pg_restore -j2", 1.0, seed_against_dump),
    Case("delta after one UPDATE, drained", "subscription", 0.65, one_update),
    Case("delta after one UPDATE, from the commit", "subscription", 1.1, one_update_from_commit),
    Case("delta after updates of 10 k rows, drained", "subscription", 0.1, hot_rows),
    Case("delta after updates of 10 k rows, from the commit", "subscription", 0.35, hot_rows_from_commit),
)


async def _seed(stage: Stage) -> Json:
    stage.target.psql(f"DROP DATABASE IF EXISTS {OURS} WITH (FORCE)")
    return await stage.sync()


async def _delta(stage: Stage, change: Callable[[Stage, str], None], *, is_drained: bool) -> Round:
    agent = stage.pair.primary.agent
    rival = NativeRival(stage)
    rival.prepare(with_copy=True)
    stage.on_source("VACUUM accounts; CHECKPOINT", OURS)
    stage.on_source("VACUUM accounts; CHECKPOINT", NATIVE)
    await stage.sync()
    if not is_drained:
        agent.pause()
    change(stage, OURS)
    if is_drained:
        await stage.wait_drained()
    else:
        agent.resume()
    ours = (await stage.sync())["duration_seconds"]
    agent.pause()
    try:
        rival.follow()
        change(stage, NATIVE)
        seconds = await rival.catch_up()
    finally:
        rival.end()
        agent.resume()
    return Round(ours, seconds)


def _update_all(stage: Stage, database: str) -> None:
    stage.on_source("UPDATE accounts SET balance = balance + 1, changed = changed + interval '1 s'", database)


def _update_hot(stage: Stage, database: str) -> None:
    update = f"UPDATE accounts SET balance = balance + 1 WHERE id <= {HOT_ROWS};\n"
    stage.on_source(update * (stage.rows // HOT_ROWS), database)


def _run_shell(command: str, stage: Stage) -> float:
    begun = time.monotonic()
    subprocess.run(["/bin/sh", "-c", command], check=True, env=_environment(stage))
    return time.monotonic() - begun


def _environment(stage: Stage) -> dict[str, str]:
    environment = dict(plain_environment())
    environment["LD_LIBRARY_PATH"] = str(stage.source.bin_dir.parent / "lib")
    return environment
