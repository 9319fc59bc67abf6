"""A pair whose line is slow: what the standby reads is packed on its way, and arrives as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from lab.cluster import Cluster
from lab.database import Database
from lab.pair import Pair
from lab.proxy import Proxy
from sample.comparison import CompareMethod, compare_databases
from tests.tier import MAJORS

NAME = "packed"
ROWS = 30_000


async def test_a_packed_sync_takes_a_part_of_the_line(
    shared_cluster: Callable[[int, str], Cluster], tmp_path: Path
) -> None:
    source, target = shared_cluster(MAJORS[0], "source"), shared_cluster(MAJORS[-1], "target")
    database = Database.create(source, NAME)
    database.psql(
        f"CREATE TABLE item AS SELECT id, md5(id::text) AS code, repeat('same ', 20) AS note "
        f"FROM generate_series(1, {ROWS}) id; ALTER TABLE item ADD PRIMARY KEY (id)"
    )
    settings = {"controller": {"transfer_compression": "gzip"}}
    with Pair.create(tmp_path / "pair", source, target, databases=[NAME], settings=settings) as pair:
        agent = pair.primary.agent_url
        async with Proxy(int(agent.rpartition(":")[2])) as line:
            text = pair.secondary.config.read_text()
            assert agent in text
            pair.secondary.config.write_text(text.replace(agent, line.url))
            await asyncio.to_thread(pair.start)
            for change in ("", "UPDATE item SET note = 'other ' || note WHERE id % 2 = 0"):
                if change:
                    database.psql(change)
                before = line.bytes_back
                sync = await pair.sync()
                assert sync["bytes"] > 1_500_000
                assert line.bytes_back - before < sync["bytes"] / 2
        copied = await compare_databases(
            database.dsn, pair.secondary.cluster.dsn(NAME), method=CompareMethod.SORTED_ROWS
        )
        assert copied.equal, copied
    database.drop()
    Database(target, NAME).drop()
