"""The workload does what a real application does, and what it says that it did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from lab.database import Database
from sample.application import read_credit_total
from sample.comparison import Verdict, compare_databases
from sample.transactions.model import Kind
from sample.workload import Workload, WorkloadError


async def test_every_kind_of_transaction_is_committed(copy_installed: Callable[[], Database]) -> None:
    """A kind that never happens is never replicated; and the credits of all accounts stay what they were."""
    database = copy_installed()
    total = await read_credit_total(database.dsn)
    report = await Workload(database.dsn, writers=3, seed=5, transactions=450).run(asyncio.Event())
    assert {kind for kind in Kind if not report.committed.get(kind)} == {Kind.ROLLBACK}
    assert report.rolled_back > 0
    assert report.transactions + report.rolled_back + report.conflicts + report.idle == 450
    assert report.rows_written > report.transactions
    assert report.transactions_per_second > 0
    assert await read_credit_total(database.dsn) == total
    assert database.psql("SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()") == "0"


async def test_rows_move_between_leaves_and_sequences_advance(copy_installed: Callable[[], Database]) -> None:
    """The workload reaches what replication finds hard: every table with rows of its own is changed."""
    before, after = copy_installed(), copy_installed()
    await Workload(after.dsn, writers=2, seed=9, transactions=500).run(asyncio.Event())
    comparison = await compare_databases(before.dsn, after.dsn)
    unchanged = {table.name for table in comparison.tables if table.equal}
    assert unchanged == {"fleet.apps", "fleet.app_versions", "identity.groups"}
    advanced = {sequence.name for sequence in comparison.sequences if sequence.verdict is Verdict.AHEAD}
    assert advanced >= {
        "billing.reference_seq",
        "fleet.asset_tag_seq",
        "telemetry.event_id_seq",
        "identity.users_id_seq",
    }


async def test_one_writer_with_one_seed_chooses_the_same(copy_installed: Callable[[], Database]) -> None:
    """A failure can be repeated from its seed; only clocks differ between two runs."""
    one, two = copy_installed(), copy_installed()
    for database in (one, two):
        await Workload(database.dsn, writers=1, seed=21, transactions=200).run(asyncio.Event())
    clocks = {"fleet.devices", "fleet.device_apps", "fleet.certificates", "identity.users", "policy.assignments"}
    with_clocks = clocks | {"billing.ledger", "telemetry.audit_log_other"}
    comparison = await compare_databases(one.dsn, two.dsn, exclude_tables=with_clocks)
    assert comparison.equal, comparison.describe()


async def test_the_rate_is_kept(copy_installed: Callable[[], Database]) -> None:
    """The demo's writers leave room for the rest of the machine."""
    report = await Workload(copy_installed().dsn, writers=2, rate_per_second=40.0, seed=2, transactions=40).run(
        asyncio.Event()
    )
    assert report.seconds >= (40 - 2) / 40.0  # each writer's first comes at once; a busy machine is slower


async def test_stop_is_obeyed(copy_installed: Callable[[], Database]) -> None:
    """Writers end when they are told, between two transactions."""
    stop, workload = asyncio.Event(), Workload(copy_installed().dsn, writers=2, rate_per_second=40.0, seed=2)
    run = asyncio.create_task(workload.run(stop))
    async with asyncio.timeout(60):
        while workload.report().transactions < 10:  # noqa: ASYNC110 # a report tells when it is asked
            await asyncio.sleep(0.01)
        stop.set()
        report = await run
    assert 10 <= report.transactions < 60


async def test_an_error_of_the_application_is_not_swallowed(copy_installed: Callable[[], Database]) -> None:
    """A replication that breaks the source must not look like a quiet workload."""
    database = copy_installed()
    database.psql("ALTER TABLE fleet.scan_queue DROP COLUMN priority")
    with pytest.raises(WorkloadError, match=r"of writer \d+, seed 6, failed: .*priority"):
        await Workload(database.dsn, writers=2, seed=6, transactions=100).run(asyncio.Event())
