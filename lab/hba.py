"""The first lines of a cluster's ``pg_hba.conf``: databases that a file names are closed to all roles but a few.

What README.md has an administrator write once. The file lies beside ``pg_hba.conf``, so a copy of a cluster has its
own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

LIST: Final = "closed_databases"
#: Who is let in: the roles of a node, and as reader the cluster's superuser, as whom tests look into a standby.
OURS: Final = ("warmstandby", "warmstandby_apply")
READERS: Final = ("postgres",)
_NOTHING_CLOSED: Final = '"warmstandby: no database"\n'


def list_of(data: Path) -> Path:
    """Return the file that names a cluster's closed databases."""
    return data / LIST


def open_all(data: Path) -> None:
    """Close no database; counts from the next reload or start on."""
    list_of(data).write_text(_NOTHING_CLOSED)


def write_rules(data: Path) -> None:
    """Put the lines before all others."""
    let_in, rules = ",".join((*OURS, *READERS)), data / "pg_hba.conf"
    lines = [
        f"local all {let_in} trust",
        f"host all {let_in} 127.0.0.1/32 trust",
        f"local @{LIST} all reject",
        f"host @{LIST} all all reject",
    ]
    rules.write_text("\n".join(lines) + "\n" + rules.read_text())
    open_all(data)


def close(data: Path, databases: Sequence[str]) -> None:
    """Close databases, as `warmstandby close` does before the server starts."""
    list_of(data).write_text(_NOTHING_CLOSED + "".join(f'"{name}"\n' for name in databases))
