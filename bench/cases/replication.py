"""Seeds and deltas of one large table, or of several, against other ways that make and keep a copy."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.accounts import TABLE, Accounts
from bench.model import Case, Group, Round, Sizes
from bench.rivals import PGLOGICAL_SERVER, Native, Pglogical, Rival, require_pglogical
from bench.stage import DRAINED_OFTEN, OURS, PEERS, Stage, open_stage

TABLES: Final = 8
Change = Callable[["Ledger", str], None]


@dataclass(frozen=True, slots=True)
class Ledger:
    """A stage whose databases hold accounts, and who else copies them there."""

    stage: Stage
    accounts: Accounts
    rival: Rival
    hot_rows: int

    def check_equal(self) -> None:
        """See that our copy is right; a fast wrong one is worth nothing."""
        digests = {self.accounts.digest(cluster, OURS) for cluster in (self.stage.source, self.stage.target)}
        if len(digests) > 1:
            raise AssertionError("the copy differs from its source")


def groups_of(sizes: Sizes) -> tuple[Group[Any], ...]:
    """Return the comparisons of seeds and deltas."""
    copied, restored, followed = "subscription's initial copy", "pg_dump -j2, pg_restore -j2", "subscription"
    by_pglogical, several = "pglogical", f"seed of {TABLES} tables with indexes"
    return (
        Group(
            lambda folder: open_ledger(folder, sizes),
            (
                Case("stream", stream, "rows/s", "psql COPY | psql COPY", 0.8, is_at_least=True),
                Case("seed with indexes", seed, peer=copied, wanted=0.7),
                Case("seed with indexes", seed_against_dump, peer=restored, wanted=1.0),
                Case("delta after one UPDATE, drained", one_update, peer=followed, wanted=0.65),
                Case("delta after one UPDATE, from the commit", one_update_from_commit, peer=followed, wanted=1.1),
                Case("delta after hot rows, drained", hot_rows, peer=followed, wanted=0.1),
                Case("delta after hot rows, from the commit", hot_rows_from_commit, peer=followed, wanted=0.35),
            ),
        ),
        Group(
            lambda folder: open_ledger(folder, sizes, tables=TABLES),
            (
                Case(several, seed, peer=copied, wanted=0.7),
                Case(several, seed_against_dump, peer=restored, wanted=1.0),
            ),
        ),
        Group(
            lambda folder: open_beside_pglogical(folder, sizes),
            (
                Case("delta after one UPDATE, drained", one_update, peer=by_pglogical),
                Case("delta after hot rows, drained", hot_rows, peer=by_pglogical),
            ),
        ),
    )


@asynccontextmanager
async def open_ledger(folder: Path, sizes: Sizes, *, tables: int = 1) -> AsyncIterator[Ledger]:
    """Open a stage with accounts, where a subscription is the rival."""
    accounts = Accounts(sizes.rows, tables)
    async with open_stage(folder, major=sizes.major, content=accounts, settings=DRAINED_OFTEN) as stage:
        yield Ledger(stage, accounts, Native(stage), sizes.hot_rows)


@asynccontextmanager
async def open_beside_pglogical(folder: Path, sizes: Sizes) -> AsyncIterator[Ledger]:
    """Open a stage with accounts whose servers have pglogical; raises NotMeasured where there is none."""
    require_pglogical(sizes.major)
    accounts = Accounts(sizes.rows)
    async with open_stage(
        folder, major=sizes.major, content=accounts, settings=DRAINED_OFTEN, server=PGLOGICAL_SERVER
    ) as stage:
        yield Ledger(stage, accounts, Pglogical(stage), sizes.hot_rows)


async def stream(ledger: Ledger) -> Round:
    """Our copying phase of a seed (rows into a table without indexes) against `psql COPY | psql COPY`."""
    stage, rows = ledger.stage, ledger.accounts.rows
    ours = (await stage.seed())["components"][0]["seconds_per_phase"]["copying"]
    stage.empty_on_target("piped")
    stage.on_target(TABLE.format(name="accounts").replace(" PRIMARY KEY", " NOT NULL"), "piped")
    seconds = stage.time_shell(
        f"{stage.source.bin_dir}/psql -qXd '{stage.source.dsn(OURS)}' -c 'COPY accounts TO STDOUT' | "
        f"{stage.target.bin_dir}/psql -qXd '{stage.target.dsn('piped')}' -c 'COPY accounts FROM STDIN'"
    )
    return Round(rows / ours, rows / seconds)


async def seed(ledger: Ledger) -> Round:
    """A whole seed against the rival's initial copy."""
    sync = await ledger.stage.seed()
    ledger.check_equal()
    ledger.rival.prepare(with_copy=False)
    try:
        seconds = await ledger.rival.copy()
    finally:
        ledger.rival.end()
    return Round(sync["duration_seconds"], seconds, phases_of(sync))


async def seed_against_dump(ledger: Ledger) -> Round:
    """A whole seed against pg_dump and pg_restore with two jobs each."""
    stage = ledger.stage
    sync = await stage.seed()
    stage.empty_on_target("dumped")
    stage.on_source("DROP PUBLICATION IF EXISTS rival", PEERS)
    folder = stage.folder / "dump"
    try:
        seconds = stage.time_shell(
            f"{stage.source.bin_dir}/pg_dump -Fd -j2 --compress=0 -f '{folder}' -d '{stage.source.dsn(PEERS)}' && "
            f"{stage.target.bin_dir}/pg_restore -j2 -d '{stage.target.dsn('dumped')}' '{folder}'"
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        stage.on_target("DROP DATABASE dumped WITH (FORCE)", "postgres")
    return Round(sync["duration_seconds"], seconds, phases_of(sync))


async def one_update(ledger: Ledger) -> Round:
    """One UPDATE of all rows, backlog drained, from the start of the sync, against the rival catching up."""
    return await _delta(ledger, _update_all, is_drained=True)


async def one_update_from_commit(ledger: Ledger) -> Round:
    """The same with nothing drained before the sync."""
    return await _delta(ledger, _update_all, is_drained=False)


async def hot_rows(ledger: Ledger) -> Round:
    """As many updates of the same few rows, backlog drained, from the start of the sync."""
    return await _delta(ledger, _update_hot, is_drained=True)


async def hot_rows_from_commit(ledger: Ledger) -> Round:
    """The same with nothing drained before the sync."""
    return await _delta(ledger, _update_hot, is_drained=False)


def phases_of(sync: dict[str, Any]) -> str:
    """Tell how long each phase of a sync took, and what is around them: its records, and what asks for it."""
    seconds = dict(sync["components"][0]["seconds_per_phase"])
    seconds["around them"] = sync["duration_seconds"] - sum(seconds.values())
    return ", ".join(f"{phase} {seconds[phase] * 1000:.0f} ms" for phase in seconds if seconds[phase] >= 0.0005)


async def _delta(ledger: Ledger, change: Change, *, is_drained: bool) -> Round:
    stage, rival = ledger.stage, ledger.rival
    rival.prepare(with_copy=True)
    for database in (OURS, PEERS):
        stage.on_source("VACUUM accounts; CHECKPOINT", database)
    await stage.sync()
    if is_drained:
        change(ledger, OURS)
        await stage.wait_drained()
    else:
        with stage.without_capture():
            change(ledger, OURS)
    sync = await stage.sync()
    assert sync["components"][0]["kind"] == "delta", sync
    ledger.check_equal()
    with stage.without_capture():
        try:
            rival.follow()
            change(ledger, PEERS)
            seconds = await rival.catch_up()
        finally:
            rival.end()
    return Round(sync["duration_seconds"], seconds, phases_of(sync))


def _update_all(ledger: Ledger, database: str) -> None:
    ledger.stage.on_source("UPDATE accounts SET balance = balance + 1, changed = changed + interval '1 s'", database)


def _update_hot(ledger: Ledger, database: str) -> None:
    update = f"UPDATE accounts SET balance = balance + 1 WHERE id <= {ledger.hot_rows};\n"
    ledger.stage.on_source(update * max(1, ledger.accounts.rows // ledger.hot_rows), database)
