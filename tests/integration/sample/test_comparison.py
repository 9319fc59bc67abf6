"""The independent judge finds what differs, at a snapshot too; a judge that always says "equal" fails here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import pytest

from lab.database import Database
from sample.comparison import CompareMethod, Verdict, compare_databases, read_sequences
from sample.workload import Workload

METHODS = pytest.mark.parametrize("method", list(CompareMethod))


@METHODS
async def test_a_copy_is_equal(
    installed: Database, copy_installed: Callable[[], Database], method: CompareMethod
) -> None:
    comparison = await compare_databases(installed.dsn, copy_installed().dsn, method=method)
    assert comparison.equal, comparison.describe()
    assert comparison.rows == 4000
    assert all(table.source_digest == table.target_digest for table in comparison.tables)


DIFFERENCES = [
    (
        "fleet.devices",
        "UPDATE fleet.devices SET battery = 100 - battery, labels = '{changed}' WHERE serial = 'SN000000005'",
    ),
    ("fleet.devices", "UPDATE fleet.devices SET address = NULL WHERE serial = 'SN000000300'"),
    ("policy.Settings", """UPDATE policy."Settings" SET "Value" = '' WHERE "Value" IS NULL"""),
    ("policy.Settings", """UPDATE policy."Settings" SET "Überschreibbar" = NOT "Überschreibbar" WHERE "order" = 7"""),
    (
        "policy.configurations",
        "UPDATE policy.configurations SET document = set_byte(document, 900, get_byte(document, 900) # 1) WHERE id = 1",
    ),
    (
        "fleet.app_versions",
        "UPDATE fleet.app_versions SET version = 1.1 WHERE app_id = 1 AND version = 1.10",
    ),
    ("identity.memberships", "DELETE FROM identity.memberships WHERE user_id = 1"),
    (
        "telemetry.audit_log_2026_06",
        "DELETE FROM telemetry.audit_log_2026_06 WHERE id = (SELECT max(id) FROM telemetry.audit_log_2026_06)",
    ),
    ("billing.account", "INSERT INTO billing.account VALUES (999999, 'one more', 0)"),
]


@METHODS
@pytest.mark.parametrize(("table", "change"), DIFFERENCES)
async def test_one_changed_missing_or_added_row_is_found(
    installed: Database, copy_installed: Callable[[], Database], table: str, change: str, method: CompareMethod
) -> None:
    """Each change touches one table; the judge names that one and shows a row."""
    target = copy_installed()
    target.psql(change)
    comparison = await compare_databases(installed.dsn, target.dsn, method=method, tables={table}, workers=1)
    assert not comparison.equal
    assert len(comparison.differences) == 1
    (found,) = comparison.tables
    assert found.name == table
    assert found.verdict is Verdict.DIFFERENT
    assert found.first_difference is not None
    assert found.first_difference.source != found.first_difference.target
    assert table in comparison.describe()


async def test_the_message_shows_the_row_on_both_sides(
    installed: Database, copy_installed: Callable[[], Database]
) -> None:
    """Somebody who reads the message knows which row to look at: the key comes first."""
    target = copy_installed()
    target.psql("UPDATE billing.account SET customer = 'Somebody else' WHERE id = 12")
    (table,) = (await compare_databases(installed.dsn, target.dsn, tables={"billing.account"})).tables
    assert table.first_difference is not None
    assert table.first_difference.columns == ("id", "customer", "balance")
    assert table.first_difference.source == '(12,"Customer 12",10000.00)'
    assert table.first_difference.target == '(12,"Somebody else",10000.00)'


async def test_tables_of_one_side_are_named(installed: Database, copy_installed: Callable[[], Database]) -> None:
    """Also an empty one; but the product's own schema is no part of the application."""
    target = copy_installed()
    target.psql(
        """CREATE TABLE public."Left over" (id integer PRIMARY KEY); DROP TABLE fleet.scan_queue;
           CREATE SCHEMA warmstandby; CREATE TABLE warmstandby.cursor (id integer)"""
    )
    comparison = await compare_databases(installed.dsn, target.dsn)
    assert comparison.tables_only_on_target == ("public.Left over",)
    assert comparison.tables_only_on_source == ("fleet.scan_queue",)
    assert not comparison.equal


async def test_another_type_of_a_column_is_a_difference(
    installed: Database, copy_installed: Callable[[], Database]
) -> None:
    """The texts would be the same, the table is not."""
    target = copy_installed()
    target.psql("ALTER TABLE identity.groups ALTER description TYPE varchar(500)")
    (found,) = (await compare_databases(installed.dsn, target.dsn)).differences
    assert "description character varying(500)" in str(found)


async def test_the_order_of_columns_and_the_settings_of_a_database_do_not_matter(
    installed: Database, copy_installed: Callable[[], Database]
) -> None:
    """A leaf of a partitioned table may have been made in another order; times are the same in every zone."""
    target = copy_installed()
    target.psql(
        """ALTER TABLE identity.memberships RENAME TO before;
           CREATE TABLE identity.memberships AS SELECT user_id, joined_on, group_id FROM identity.before;
           ALTER TABLE identity.memberships ADD PRIMARY KEY (user_id, group_id); DROP TABLE identity.before"""
    )
    name = target.name
    target.psql(f"ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'; ALTER DATABASE {name} SET datestyle = 'SQL, DMY'")
    target.psql(f"ALTER DATABASE {name} SET extra_float_digits = -3; ALTER DATABASE {name} SET bytea_output = 'escape'")
    comparison = await compare_databases(installed.dsn, target.dsn)
    assert comparison.equal, comparison.describe()


SEQUENCES = [
    ("SELECT setval('fleet.asset_tag_seq', 100000)", "fleet.asset_tag_seq", Verdict.BEHIND),
    ("SELECT nextval('fleet.asset_tag_seq')", "fleet.asset_tag_seq", Verdict.AHEAD),
    ("SELECT setval('billing.reference_seq', -2)", "billing.reference_seq", Verdict.BEHIND),
    ("SELECT nextval('billing.reference_seq')", "billing.reference_seq", Verdict.AHEAD),
    ("ALTER SEQUENCE billing.reference_seq INCREMENT -2", "billing.reference_seq", Verdict.DIFFERENT),
    ("SELECT setval('fleet.channel_seq', 4000)", "fleet.channel_seq", Verdict.BEHIND),
    ("CREATE SEQUENCE public.extra", "public.extra", Verdict.ONLY_ON_TARGET),
]


@pytest.mark.parametrize(("change", "name", "verdict"), SEQUENCES)
async def test_a_sequence_may_be_ahead_but_not_behind(
    installed: Database, copy_installed: Callable[[], Database], change: str, name: str, verdict: Verdict
) -> None:
    """Behind means that the application meets its own keys again after a failover; descending ones count downwards."""
    target = copy_installed()
    target.psql(change)
    comparison = await compare_databases(installed.dsn, target.dsn, tables=())
    found = {sequence.name: sequence.verdict for sequence in comparison.sequences}
    assert found.pop(name) is verdict
    assert set(found.values()) == {Verdict.EQUAL}
    assert comparison.equal is (verdict is Verdict.AHEAD)


async def test_a_source_that_goes_on_writing_is_compared_at_its_snapshot(
    copy_installed: Callable[[], Database],
) -> None:
    """The target is equal to the snapshot although the source has changed since, and is not equal to the source now."""
    source, target = copy_installed(), copy_installed()
    sequences = await read_sequences(source.dsn)
    exporter = await asyncpg.connect(source.dsn)
    try:
        async with exporter.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await exporter.fetchval("SELECT pg_export_snapshot()")
            await Workload(source.dsn, writers=2, seed=8, transactions=100).run(asyncio.Event())
            comparison = await compare_databases(
                source.dsn, target.dsn, source_snapshot=snapshot, source_sequences=sequences
            )
    finally:
        await exporter.close()
    assert comparison.differences == (), comparison.describe()
    assert {found.name for found in comparison.not_comparable} == {"fleet.scan_queue"}  # truncated since
    assert not comparison.equal
    assert len((await compare_databases(source.dsn, target.dsn)).differences) > 10


async def test_a_truncated_table_is_never_called_equal(copy_installed: Callable[[], Database]) -> None:
    """After TRUNCATE a snapshot shows an empty table: an empty target would look right, and nobody knows."""
    source, target = copy_installed(), copy_installed()
    target.psql("TRUNCATE billing.ledger")
    sequences = await read_sequences(source.dsn)
    exporter = await asyncpg.connect(source.dsn)
    try:
        async with exporter.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await exporter.fetchval("SELECT pg_export_snapshot()")
            source.psql("TRUNCATE billing.ledger")
            comparison = await compare_databases(
                source.dsn, target.dsn, source_snapshot=snapshot, source_sequences=sequences
            )
    finally:
        await exporter.close()
    assert [(found.name, found.verdict) for found in comparison.not_comparable] == [
        ("billing.ledger", Verdict.NOT_COMPARABLE)
    ]
    assert "truncated or rewritten since the snapshot" in comparison.describe()


async def test_a_snapshot_without_its_sequences_is_refused(installed: Database) -> None:
    """Values of now would be ahead of every correct standby."""
    with pytest.raises(ValueError, match="source_sequences"):
        await compare_databases(installed.dsn, installed.dsn, source_snapshot="00000003-00000001-1")
