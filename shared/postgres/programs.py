"""PostgreSQL's client programs: where they are, and how they are told where to connect. Runs nothing but `--version`.

A password travels in the environment of the program, never on its command line.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from shared.errors import ProgramMissing


@dataclass(frozen=True, slots=True)
class Program:
    """A program to run with its connection: arguments to begin with, and the environment."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]


async def find_program(name: str, *, bin_dir: Path | None, dsn: str, database: str, server_version: int) -> Program:
    """Return a client program of at least the server's major version, told to connect to a database.

    Raises ProgramMissing.
    """
    path = str(bin_dir / name) if bin_dir is not None else shutil.which(name)
    if path is None or not os.access(path, os.X_OK):
        where = f"in {bin_dir}" if bin_dir is not None else "on PATH"
        raise ProgramMissing(f"there is no {name} {where}")
    environment = _environment(dsn, bin_dir)
    process = await asyncio.create_subprocess_exec(
        path, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=environment
    )
    output, _ = await process.communicate()
    found = re.search(rb"(\d+)(?:\.|devel|beta|rc)", output)
    if process.returncode != 0 or found is None:
        raise ProgramMissing(f"{path} does not run")
    if int(found[1]) < server_version // 10000:
        raise ProgramMissing(
            f"{path} is of version {found[1].decode()}, the server of version {server_version // 10000}"
        )
    return Program((path, f"--dbname={_without_password(dsn, database)}"), environment)


def _environment(dsn: str, bin_dir: Path | None) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment["PGAPPNAME"] = "warmstandby"
    environment["PGOPTIONS"] = "-c maintenance_work_mem=256MB"
    password = urlsplit(dsn).password
    if password is not None:
        environment["PGPASSWORD"] = unquote(password)
    elif "PGPASSFILE" in os.environ:
        environment["PGPASSFILE"] = os.environ["PGPASSFILE"]
    if bin_dir is not None and (bin_dir.parent / "lib").is_dir():
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(
            filter(None, [str(bin_dir.parent / "lib"), environment.get("LD_LIBRARY_PATH")])
        )
    return environment


def _without_password(dsn: str, database: str) -> str:
    parts = urlsplit(dsn)
    user, separator, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}{separator}{host}"
    return urlunsplit((parts.scheme, netloc, "/" + quote(database, safe=""), parts.query, ""))
