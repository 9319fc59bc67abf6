"""How a writer chooses, without a database."""

from __future__ import annotations

from itertools import islice

from sample.transactions.catalogue import TRANSACTIONS
from sample.transactions.model import Kind
from sample.workload import WorkloadReport, choose_kinds


def test_a_writer_starts_with_one_of_each_kind() -> None:
    """A short run shows every kind, rare ones too."""
    assert set(islice(choose_kinds(1, 0, two_phase=True), len(Kind))) == set(Kind) == set(TRANSACTIONS)


def test_seed_and_writer_decide_the_choice() -> None:
    """Two writers must not do the same thing in the same order; one writer must, with the same seed."""
    first, again, other_writer, other_seed = (
        list(islice(choose_kinds(seed, writer, two_phase=True), 200))
        for seed, writer in [(1, 0), (1, 0), (1, 1), (2, 0)]
    )
    assert first == again
    assert first != other_writer
    assert first != other_seed


def test_no_transaction_is_prepared_where_the_server_forbids_it() -> None:
    """A server as most people run it has max_prepared_transactions = 0."""
    assert Kind.TWO_PHASE_CREDITS not in set(islice(choose_kinds(1, 0, two_phase=False), 3000))


def test_a_report_of_nothing_has_no_speed() -> None:
    """A display may ask before the first transaction."""
    report = WorkloadReport(committed={}, rolled_back=0, conflicts=0, idle=0, rows_written=0, seconds=0.0)
    assert (report.transactions, report.transactions_per_second, report.writes_per_second) == (0, 0.0, 0.0)
