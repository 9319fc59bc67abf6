"""A pair of services whose source is emptied: the standby keeps what it has until an administrator says otherwise."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from lab.binaries import TREE
from lab.cluster import Cluster
from lab.database import Database
from lab.pair import Pair
from lab.people import Json
from lab.roles import ensure_role
from lab.service import plain_environment


def test_an_emptied_source_does_not_empty_the_standby(new_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """The program says what stops the sync and how one passes; what it names is what works, and the pair goes on."""
    source, target = new_cluster(), new_cluster()
    for cluster in (source, target):
        ensure_role(cluster, "mdm")
    database = Database.create(source, "mdm", options="OWNER mdm")
    database.psql("CREATE TABLE device (id int PRIMARY KEY)", user="mdm")
    database.psql("INSERT INTO device SELECT generate_series(1, 5000)", user="mdm")
    with Pair.create(tmp_path / "pair", source, target) as pair:
        pair.start()
        node, copy = pair.secondary, Database(target, "mdm")

        def sync(*options: str) -> tuple[int, str]:
            command = [sys.executable, "-m", "services.cli", "sync", "--config", str(node.config), *options]
            environment = plain_environment() | {"WARMSTANDBY_TOKEN": node.token}
            done = subprocess.run(
                command, env=environment, cwd=TREE, capture_output=True, text=True, timeout=120, check=False
            )
            return done.returncode, done.stdout + done.stderr

        assert sync()[0] == 0
        database.psql("DELETE FROM device", user="mdm")
        code, said = sync()
        assert (code, "refused_guard" in said, "5,000 rows" in said) == (1, True, True), said
        assert "--accept source_shrank" in said
        code, said = sync("--accept", "disk_short")
        assert (code, "refused_guard" in said) == (1, True), said
        assert copy.psql("SELECT count(*) FROM device") == "5000"
        code, said = sync("--accept", "source_shrank")
        assert (code, "mdm by delta" in said) == (0, True), said
        assert copy.psql("SELECT count(*) FROM device") == "0"
        database.psql("INSERT INTO device SELECT generate_series(1, 10)", user="mdm")
        assert sync()[0] == 0
        assert copy.psql("SELECT count(*) FROM device") == "10"
        database.drop()
        database = Database.create(source, "mdm", options="OWNER mdm")
        database.psql("CREATE TABLE device (id int PRIMARY KEY)", user="mdm")
        database.psql("INSERT INTO device SELECT generate_series(20, 40)", user="mdm")
        code, said = sync()
        assert (code, "refused_guard" in said) == (1, True), said
        assert "--accept source_changed" in said
        assert copy.psql("SELECT count(*) FROM device") == "10"
        told = asyncio.run(refusals(pair))
        assert [event["data"]["code"] for event in told] == ["source_changed", "source_shrank", "source_shrank"]
        assert {event["severity"] for event in told} == {"critical"}
        code, said = sync("--accept", "source_changed")
        assert (code, "mdm by seed" in said) == (0, True), said
        assert copy.psql("SELECT count(*) FROM device") == "21"


async def refusals(pair: Pair) -> list[Json]:
    """Return the events of syncs that were stopped, the newest first."""
    async with pair.secondary.open_api() as api:
        items: list[Json] = (await api.get("/v1/events?kind=sync_refused"))["items"]
    return items
