"""Archives of each major's pg_dump are read as its own pg_restore reads them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.cluster import Cluster
from lab.database import Database
from services.standby_controller.definitions.archive import read_entries
from shared.errors import SchemaChanged
from tests.replication.schema_changes import BASE


def dump(cluster: Cluster, database: Database, file: Path, *arguments: str) -> list[tuple[str, str]]:
    """Write an archive, and return number and name of what pg_restore lists of it."""
    program = str(cluster.bin_dir / "pg_dump")
    subprocess.run([program, "--format=custom", f"--file={file}", *arguments, database.dsn], check=True)
    restore = [str(cluster.bin_dir / "pg_restore"), "--list", str(file)]
    listed = subprocess.run(restore, check=True, capture_output=True, text=True).stdout.splitlines()
    lines = [line for line in listed if line and not line.startswith(";")]
    return [(line.partition(";")[0], line.split(" ", 3)[3]) for line in lines]


@pytest.mark.parametrize("arguments", [(), ("--schema-only",), ("--compress=0", "--blobs")], ids=str)
def test_every_entry_is_found(
    cluster: Cluster, database: Callable[..., Database], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    place = database(cluster)
    place.psql(BASE)
    listed = dump(cluster, place, tmp_path / "archive", *arguments)
    with (tmp_path / "archive").open("rb") as file:
        entries = read_entries(file)
    assert len(entries) > 20
    data = ("TABLE DATA", "SEQUENCE SET", "BLOB", "MATERIALIZED VIEW DATA", "STATISTICS DATA")
    wanted = [(number, name) for number, name in listed if not name.startswith(data)]
    assert [(str(one.dump_id), f"{one.kind} {one.schema or '-'} {one.tag}") for one in entries] == [
        (number, name.rpartition(" ")[0]) for number, name in wanted
    ]
    numbers = {one.dump_id for one in entries}
    assert all(one.definition for one in entries)
    assert any(set(one.depends_on) & numbers for one in entries)


@pytest.mark.parametrize("content", [b"", b"PGDMP", b"PGDMP\x01\x11\x00\x04\x08\x01\x00", b"-- plain SQL"])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(content)
    with (tmp_path / "archive").open("rb") as file, pytest.raises(SchemaChanged):
        read_entries(file)
