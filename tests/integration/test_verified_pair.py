"""A copy changed by hand, found and repaired over the API and by command, between services that run."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from lab.binaries import TREE
from lab.cluster import Cluster
from lab.database import Database
from lab.pair import Pair
from lab.people import Json
from lab.service import plain_environment
from tests.tier import MAJORS

NAME = "verified"
ROWS = 30_000


@pytest.fixture(scope="module")
def pair(shared_cluster: Callable[[int, str], Cluster], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A pair of two majors with a copy of one database."""
    source, target = shared_cluster(MAJORS[0], "source"), shared_cluster(MAJORS[-1], "target")
    database = Database.create(source, NAME)
    database.psql(
        f"CREATE TABLE item AS SELECT id, 'new' AS state, id / 3.0 AS cost FROM generate_series(1, {ROWS}) id"
    )
    database.psql("ALTER TABLE item ADD PRIMARY KEY (id); CREATE TABLE code (k char(4) PRIMARY KEY, is_on boolean)")
    database.psql("INSERT INTO code SELECT 'k' || i, i % 2 = 0 FROM generate_series(1, 50) AS i")
    with Pair.create(tmp_path_factory.mktemp("pair"), source, target, databases=[NAME]) as pair:
        pair.start()
        asyncio.run(pair.sync())
        yield pair
    for cluster in (source, target):
        Database(cluster, NAME).drop()


def on_copy(pair: Pair, text: str) -> str:
    """Write to the copy by hand."""
    return pair.secondary.cluster.psql(f"SET default_transaction_read_only = off; {text}", NAME)


def verify(pair: Pair, *arguments: str) -> tuple[int, Json]:
    """Run `warmstandby verify` on the standby and return its exit code and what it found."""
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "verify", "--config", str(pair.secondary.config), "--json", *arguments],
        capture_output=True,
        text=True,
        cwd=TREE,
        check=False,
        timeout=90,
        env=plain_environment() | {"WARMSTANDBY_TOKEN": pair.secondary.token},
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_rows_changed_by_hand_are_found_and_repaired(pair: Pair) -> None:
    """Between two majors, with every row as it should be told equal."""
    code, found = verify(pair)
    assert (code, found["verdict"]) == (0, "equal")
    assert [(part["tables"], part["rows"]) for part in found["components"]] == [(2, ROWS + 50)]
    on_copy(pair, "UPDATE item SET cost = 0 WHERE id = 20000; DELETE FROM item WHERE id = 7; DELETE FROM code")
    on_copy(pair, "INSERT INTO item VALUES (40000, 'extra')")
    code, found = verify(pair)
    assert (code, found["verdict"]) == (1, "differs")
    (of_code, of_item) = found["components"][0]["differences"]
    assert (of_item["missing"], of_item["extra"], of_item["changed"]) == (1, 1, 1)
    assert (of_item["first_key"], of_item["last_key"]) == ("7", "40000")
    assert (of_code["rows_here"], of_code["rows_there"], of_code["first_key"]) == (0, 50, "k1  ")
    code, repaired = verify(pair, "--repair", found["id"])
    assert (code, repaired["verdict"]) == (0, "repaired")
    assert on_copy(pair, "SELECT count(*), max(id) FROM item") == f"{ROWS}|{ROWS}"
    assert on_copy(pair, "SELECT count(*) FROM code") == "50"
    assert verify(pair)[1]["verdict"] == "equal"


async def test_the_sync_that_repairs_is_of_the_kind_compare(pair: Pair) -> None:
    async with pair.secondary.open_api() as api:
        kinds = [part["kind"] for sync in (await api.get("/v1/syncs"))["items"] for part in sync["components"]]
        assert kinds.count("compare") == 1
        status = await api.get("/v1/status")
        assert "copy_differs" not in {advisory["code"] for advisory in status["advisories"]}
