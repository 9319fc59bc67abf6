"""Named SQL: loads the `.sql` files that lie beside their adapters.

A file holds queries, each headed by `-- name: verb_noun` and a comment line that says what it does, in ASCII alone: a
database of any encoding takes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

_HEAD = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load_queries(package: str, file_name: str) -> Mapping[str, str]:
    """Return the queries of one file by name.

    Raises KeyError on use of a name that is not there, ValueError for a file without a named query or with one twice.
    """
    text = files(package).joinpath(file_name).read_text(encoding="ascii")
    parts = _HEAD.split(text)
    names, bodies = parts[1::2], parts[2::2]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{package}/{file_name}: every query needs a name of its own")
    return MappingProxyType({name: body.strip() for name, body in zip(names, bodies, strict=True)})


def quote_identifier(name: str) -> str:
    """Return the name as a quoted SQL identifier."""
    if "\0" in name:
        raise ValueError("an identifier cannot hold a NUL character")
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """Return the text as an SQL string that means the same under any standard_conforming_strings."""
    escaped = text.replace("'", "''")
    return f" E'{escaped.replace(chr(92), chr(92) * 2)}'" if "\\" in text else f"'{escaped}'"


def qualified(schema_name: str, name: str) -> str:
    """Return `"schema"."name"`."""
    return f"{quote_identifier(schema_name)}.{quote_identifier(name)}"
