"""The table of contents of a pg_dump archive: one entry for each object, with what makes it and what drops it.

Source of the format: src/bin/pg_dump/pg_backup_archiver.c and pg_backup_custom.c of PostgreSQL (ReadHead, ReadToc).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO, Final

from shared.errors import SchemaChanged

_OLDEST: Final = (1, 14)
_NEWEST: Final = (1, 16)
_COMPRESSION_BYTE: Final = (1, 15)
_RELATION_KIND: Final = (1, 16)
_CUSTOM: Final = 1
_LONGEST_INTEGER: Final = 8
_UNSEEN: Final = frozenset(
    {
        "ENCODING",
        "STDSTRINGS",
        "SEARCHPATH",
        "DATABASE",
        "DATABASE PROPERTIES",
        "BLOB",
        "BLOBS",
        "BLOB METADATA",
        "BLOB COMMENTS",
        "SEQUENCE SET",
        "TABLE DATA",
        "MATERIALIZED VIEW DATA",
        "STATISTICS DATA",
    }
)
_OF_OTHERS: Final = ("LARGE OBJECT", "LARGE OBJECTS", "DATABASE")
"""Comments, rights and labels of these are no definitions of the schema."""


class Section(IntEnum):
    """When an entry is restored."""

    NONE = 1
    PRE_DATA = 2
    DATA = 3
    POST_DATA = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One object, or one thing said of an object."""

    dump_id: int
    kind: str
    """As pg_dump names it: TABLE, FK CONSTRAINT, COMMENT, ACL."""
    schema: str
    tag: str
    owner: str
    place: str
    """Tablespace and access method."""
    section: int
    definition: str
    drop: str
    depends_on: tuple[int, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what names the object; operators of one name share it."""
        return self.kind, self.schema, self.tag

    @property
    def words(self) -> str:
        """Return the object as a person would name it."""
        name = self.tag if self.schema in ("", "-") else f"{self.schema}.{self.tag}"
        return f"{self.kind.lower()} {name}"


def read_entries(file: BinaryIO) -> tuple[Entry, ...]:
    """Read the definitions named in an archive, in the order in which they are made; data and our own are left out.

    Raises SchemaChanged, so that everything is copied, for what is no archive in a version that is known.
    """
    reader = _Reader(file)
    return tuple(entry for entry in reader.entries() if _is_definition(entry))


def pack(entries: Iterable[Entry]) -> bytes:
    """Return entries as bytes, to be kept with the copy that they describe."""
    rows = [[getattr(entry, name) for name in _FIELDS] for entry in entries]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode("utf-8"))


def unpack(packed: bytes) -> tuple[Entry, ...]:
    """Return the entries of `pack`."""
    rows = json.loads(zlib.decompress(packed).decode("utf-8"))
    return tuple(Entry(**{**dict(zip(_FIELDS, row, strict=True)), "depends_on": tuple(row[-1])}) for row in rows)


_FIELDS: Final = tuple(Entry.__dataclass_fields__)


def _is_definition(entry: Entry) -> bool:
    if entry.kind in _UNSEEN:
        return False
    if entry.kind in ("COMMENT", "ACL", "SECURITY LABEL"):
        return not entry.tag.startswith(tuple(f"{other} " for other in _OF_OTHERS))
    is_guard = entry.kind == "EVENT TRIGGER" and entry.tag in ("warmstandby_guard", "warmstandby_guard_drop")
    is_publication = entry.kind == "PUBLICATION" and entry.tag == "warmstandby"
    is_published = entry.kind.startswith("PUBLICATION TABLE") and entry.tag.startswith("warmstandby ")
    return not (is_guard or is_publication or is_published)


class _Reader:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._integer_size = 4
        self._offset_size = 8
        self._version = (0, 0)

    def entries(self) -> Iterable[Entry]:
        self._read_head()
        for _ in range(self._integer()):
            yield self._entry()

    def _read_head(self) -> None:
        if self._bytes(5) != b"PGDMP":
            raise SchemaChanged("this is no archive of pg_dump")
        self._version = (self._byte(), self._byte())
        self._byte()  # the revision tells of no change of the format
        if not _OLDEST <= self._version <= _NEWEST:
            raise SchemaChanged(f"archive version {self._version[0]}.{self._version[1]} is not known")
        self._integer_size, self._offset_size, form = self._byte(), self._byte(), self._byte()
        if form != _CUSTOM or self._integer_size > _LONGEST_INTEGER:
            raise SchemaChanged(f"archive format {form} is not known")
        self._byte() if self._version >= _COMPRESSION_BYTE else self._integer()
        for _ in range(7):  # when it was made
            self._integer()
        for _ in range(3):  # of which database, by which releases
            self._text()

    def _entry(self) -> Entry:
        dump_id = self._integer()
        self._integer()  # whether it has data
        self._text()  # catalog and oid of the object
        self._text()
        tag, kind, section = self._text(), self._text(), self._integer()
        definition, drop = self._text(), self._text()
        self._text()  # the COPY statement of its data
        schema, tablespace, method = self._text(), self._text(), self._text()
        if self._version >= _RELATION_KIND:
            self._integer()
        owner = self._text()
        self._text()  # a flag of releases long gone
        depends_on: list[int] = []
        while (dependency := self._optional_text()) is not None:
            depends_on.append(int(dependency))
        self._bytes(1 + self._offset_size)  # where its data lies
        return Entry(
            dump_id, kind, schema, tag, owner, f"{tablespace} {method}", section, definition, drop, tuple(depends_on)
        )

    def _byte(self) -> int:
        return self._bytes(1)[0]

    def _integer(self) -> int:
        is_negative = self._byte() != 0
        value = int.from_bytes(self._bytes(self._integer_size), "little")
        return -value if is_negative else value

    def _text(self) -> str:
        return self._optional_text() or ""

    def _optional_text(self) -> str | None:
        length = self._integer()
        return None if length < 0 else self._bytes(length).decode("utf-8", errors="surrogateescape")

    def _bytes(self, count: int) -> bytes:
        found = self._file.read(count)
        if len(found) != count:
            raise SchemaChanged("the archive ends too early")
        return found
