"""Fresh data directories: one initdb for each version of PostgreSQL and user, copied afterwards; starts no server."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from lab import reaper
from lab.binaries import TREE, version_of
from lab.identity import choose_identity

INITDB: Final = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")


class TemplateError(Exception):
    """initdb or pg_resetwal failed; the text carries what it said."""


def lay_down(data: Path, bin_dir: Path) -> None:
    """Make a data directory as initdb makes it, with a system identifier of its own."""
    cached = _cache_folder() / _name(bin_dir)
    if not cached.exists():
        _make(cached, bin_dir)
    copy_tree(cached, data)
    _give_own_identifier(data, bin_dir)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a data directory as it is, links and modes kept."""
    shutil.copytree(source, target, symlinks=True)


def _cache_folder() -> Path:
    """Return a folder of ours that outlives us: in the tree beside the binaries, or else among the temporary files."""
    for parent in (TREE / ".pg", Path(tempfile.gettempdir())):
        folder = parent / f"warmstandby-templates-{os.geteuid()}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if folder.stat().st_uid == os.geteuid() and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise TemplateError(f"neither {TREE / '.pg'} nor {tempfile.gettempdir()} can be written")


def _name(bin_dir: Path) -> str:
    """Name a template by all that it depends on."""
    digest = hashlib.sha256(repr((str(bin_dir), INITDB, choose_identity().owner)).encode()).hexdigest()
    return f"{version_of(bin_dir)[1]}-{digest[:12]}"


def _make(cached: Path, bin_dir: Path) -> None:
    """Run initdb beside the place and rename: who comes second at the same moment throws its own away."""
    workshop = Path(tempfile.mkdtemp(prefix="making-", dir=cached.parent))
    data = workshop / "data"
    reaper.watch(data, workshop)
    try:
        data.mkdir(mode=0o700)
        choose_identity().give(workshop)
        _run(bin_dir / "initdb", *INITDB, "-D", str(data))
        try:
            data.rename(cached)
        except OSError:
            if not cached.exists():
                raise
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
        reaper.forget(data)


def _give_own_identifier(data: Path, bin_dir: Path) -> None:
    """Write a new system identifier, and let pg_resetwal make checksum and WAL agree with it.

    It is the first eight bytes of pg_control, of PostgreSQL's form: the second of the making in the upper half, chance
    in the lower. (initdb itself would take ten times as long.)
    """
    control = data / "global" / "pg_control"
    content = control.read_bytes()
    made_in = int.from_bytes(content[:8], "little") >> 32
    identifier = made_in << 32 | secrets.randbits(32)
    control.write_bytes(identifier.to_bytes(8, "little") + content[8:])
    choose_identity().give(data)
    _run(bin_dir / "pg_resetwal", "-f", "-D", str(data))


def _run(program: Path, *arguments: str) -> None:
    command = [*choose_identity().prefix, str(program), *arguments]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment, check=False)
    if done.returncode != 0:
        raise TemplateError(f"{program.name}: {done.stderr.strip() or done.stdout.strip()}")
