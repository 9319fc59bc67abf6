"""How much memory the services take while a large table is seeded and then changed: python -m bench.memory [--help]

The limit is that of every size of table: 150 MB, and four times the largest row beyond that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lab.cluster import Cluster
from lab.database import Database
from lab.pair import Pair
from lab.people import Json
from lab.service import Service
from sample.comparison import CompareMethod, compare_databases

DATABASE: Final = "large"
LIMIT_BYTES: Final = 150 * 10**6
ROW_BYTES: Final = 1024
DOCUMENTS_BYTES: Final = 50 * 10**6
FEWEST_DOCUMENTS: Final = 6
SAMPLE_SECONDS: Final = 0.1
SERVER: Final = {
    "shared_buffers": "512MB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "maintenance_work_mem": "256MB",
    "autovacuum": "off",
}
SCHEMA: Final = """
CREATE TABLE filler (id bigint PRIMARY KEY, branch integer NOT NULL, note text NOT NULL);
CREATE TABLE document (id bigint PRIMARY KEY, content text NOT NULL);
ALTER TABLE document ALTER COLUMN content SET STORAGE EXTERNAL;
"""
FILL: Final = """
INSERT INTO filler SELECT n, n % 1000, rpad(md5(n::text), {note_bytes}, md5((-n)::text))
  FROM generate_series({first}, {last}) AS n;
"""
DOCUMENTS: Final = """
INSERT INTO document SELECT n, repeat(md5(n::text), {bytes} / 32) FROM generate_series(1, {count}) AS n; ANALYZE;
"""
CHANGE: Final = "UPDATE filler SET branch = branch + 1 WHERE id % 10 = 3; UPDATE document SET content = content || 'x';"


@dataclass
class Memory:
    """What one service took: the kernel's own high-water mark, and the average of the samples."""

    name: str
    most_bytes: int = 0
    samples: list[int] = field(default_factory=list)

    def look(self, service: Service) -> None:
        """Read what the kernel says of the process."""
        status = Path(f"/proc/{service.pid}/status").read_text()
        values = dict(line.split(":", 1) for line in status.splitlines() if line.startswith("Vm"))
        self.most_bytes = max(self.most_bytes, _bytes(values["VmHWM"]))
        self.samples.append(_bytes(values["VmRSS"]))

    @property
    def last_bytes(self) -> int:
        """Return what it took at the end."""
        return self.samples[-1] if self.samples else 0


@asynccontextmanager
async def sampling(pair: Pair) -> AsyncIterator[list[Memory]]:
    """Sample all services beside a block."""
    found = {service: Memory(service.name) for service in pair.services}

    async def look_on() -> None:
        while True:
            for service, memory in found.items():
                memory.look(service)
            await asyncio.sleep(SAMPLE_SECONDS)

    task = asyncio.create_task(look_on())
    try:
        yield list(found.values())
    finally:
        for service, memory in found.items():
            memory.look(service)
        task.cancel()
        await asyncio.wait([task])


async def measure(folder: Path, *, major: int, size_mb: int, document_mb: int) -> Json:
    """Fill, seed, change, sync again, and return the figures."""
    with (
        Cluster.create(folder / "source", major=major, settings=SERVER) as source,
        Cluster.create(folder / "target", major=major, settings=SERVER) as target,
    ):
        source.start()
        target.start()
        database = Database.create(source, DATABASE)
        _say(f"filling {size_mb} MB")
        _fill(database, rows=size_mb * 10**6 // ROW_BYTES, document_bytes=document_mb * 10**6)
        stored = int(database.psql("SELECT pg_database_size(current_database())"))
        with Pair.create(folder / "pair", source, target, databases=[DATABASE]) as pair:
            pair.start()
            async with sampling(pair) as memory:
                _say(f"seeding {stored / 10**6:.0f} MB")
                seed = await _timed(pair)
                database.psql(CHANGE)
                _say("delta of a tenth of the rows")
                delta = await _timed(pair)
            compared = await compare_databases(
                database.dsn, target.dsn(DATABASE), method=CompareMethod.ROW_HASHES, workers=1
            )
    limit = limit_bytes(document_mb)
    services = {
        one.name: {"most_bytes": one.most_bytes, "last_bytes": one.last_bytes, "samples": len(one.samples)}
        for one in memory
    }
    return {
        "major": major,
        "database_bytes": stored,
        "limit_bytes": limit,
        "within_limit": all(one.most_bytes <= limit for one in memory),
        "equal": compared.equal,
        "seed": seed,
        "delta": delta,
        "services": services,
    }


def limit_bytes(document_mb: int) -> int:
    """Return what a service may take where the largest row has this size."""
    return LIMIT_BYTES + 4 * document_mb * 10**6


def _fill(database: Database, *, rows: int, document_bytes: int) -> None:
    database.psql(SCHEMA)
    step = 250_000
    for first in range(1, rows + 1, step):
        last = min(first + step - 1, rows)
        database.psql(FILL.format(first=first, last=last, note_bytes=ROW_BYTES - 40))
    count = max(FEWEST_DOCUMENTS, DOCUMENTS_BYTES // document_bytes)
    database.psql(DOCUMENTS.format(bytes=document_bytes, count=count))


async def _timed(pair: Pair) -> Json:
    began = time.monotonic()
    sync = await pair.sync(timeout=3600)
    (component,) = sync["components"]
    return {
        "kind": component["kind"],
        "seconds": round(time.monotonic() - began, 1),
        "rows": sync["rows"],
        "bytes": sync["bytes"],
    }


def _bytes(value: str) -> int:
    number, unit = value.split()
    assert unit == "kB"
    return int(number) * 1024


def _say(text: str) -> None:
    print(f"... {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print the figures, and say by the exit code whether the limit holds."""
    parser = argparse.ArgumentParser(prog="bench.memory", description=__doc__)
    parser.add_argument("--major", type=int, default=18)
    parser.add_argument("--size-mb", type=int, default=2000, help="size of the large table")
    parser.add_argument("--document-mb", type=int, default=1, help="size of the largest rows")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="warmstandby-memory-") as folder:
        Path(folder).chmod(0o755)
        figures = asyncio.run(
            measure(Path(folder), major=options.major, size_mb=options.size_mb, document_mb=options.document_mb)
        )
    if options.json:
        print(json.dumps(figures))
    else:
        for sync in (figures["seed"], figures["delta"]):
            print(f"{sync['kind']}: {sync['rows']} rows, {sync['bytes'] / 10**6:.0f} MB in {sync['seconds']} s")
        for name, one in figures["services"].items():
            print(
                f"{name:28} {one['most_bytes'] / 10**6:6.1f} MB at most, {one['last_bytes'] / 10**6:6.1f} MB at the end"
            )
        print(f"limit {figures['limit_bytes'] / 10**6:.0f} MB, {'equal' if figures['equal'] else 'NOT EQUAL'}")
    return 0 if figures["within_limit"] and figures["equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
