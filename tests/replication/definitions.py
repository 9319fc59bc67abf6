"""Definitions of a database as pg_dump writes them, without ours: what a person would compare."""

from __future__ import annotations

import difflib
import re
import subprocess
from typing import Final

from lab.cluster import Cluster

_OURS_OR_NOTHING: Final = re.compile(
    r"^ALTER PUBLICATION warmstandby .*$|^CREATE PUBLICATION warmstandby [^;]*;$"
    r"|^(CREATE|ALTER) EVENT TRIGGER warmstandby_guard\w* [^;]*;$|^--.*$|^\\.*$",
    re.MULTILINE,
)


def read_definitions(cluster: Cluster, dsn: str) -> list[str]:
    """Dump the definitions of a database, line by line."""
    program = [str(cluster.bin_dir / "pg_dump"), "--schema-only", "--exclude-schema=warmstandby", dsn]
    done = subprocess.run(program, capture_output=True, check=True)
    text = _OURS_OR_NOTHING.sub("", done.stdout.decode("utf-8", errors="replace"))
    return [line for line in text.splitlines() if line]


def restore_definitions(cluster: Cluster, dsn: str, database: str) -> list[str]:
    """Dump the definitions that another, empty database has once it is restored from a dump of this one."""
    program = [str(cluster.bin_dir / "pg_dump"), "--schema-only", "--exclude-schema=warmstandby", dsn]
    dumped = subprocess.run(program, capture_output=True, check=True)
    restoring = [str(cluster.bin_dir / "psql"), "--no-psqlrc", "--quiet", cluster.dsn(database)]
    subprocess.run(restoring, input=dumped.stdout, capture_output=True, check=True)
    return read_definitions(cluster, cluster.dsn(database))


def find_unlike(source: list[str], copy: list[str]) -> str:
    """Return what differs between both, as a person would read it; empty where nothing does."""
    return "\n".join(difflib.unified_diff(source, copy, "source", "copy", n=0, lineterm=""))
