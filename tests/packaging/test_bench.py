"""The bench, at tiny sizes: it runs, and gives figures; whether they are good is no matter of a test."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lab.binaries import TREE
from lab.service import plain_environment
from tests.tier import in_full_tier


@in_full_tier
@pytest.mark.timeout(600)
def test_the_bench_measures_a_stream_and_idle_syncs() -> None:
    """By its command line, as people run it."""
    wishes = ["--quick", "--rounds", "1", "--json", "--only", "stream", "--only", "30 tables"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.run", *wishes],
        cwd=TREE,
        env=plain_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["rows"]}
    assert set(rows) == {
        "stream",
        "idle sync, 30 tables",
        "idle sync's scans of tables, 30 tables",
        "idle sync's token of definitions, 30 tables",
    }
    assert rows["stream"]["ours"] > 0
    assert rows["idle sync's scans of tables, 30 tables"]["reached"], done.stdout
