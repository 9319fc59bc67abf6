"""What the two ends of a sync say to each other: sync point, manifest, table, progress. Values only."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import Field

from shared.node.model import Envelope, UnkeptTable, Wire

MOST_OBJECTS: Final = 500
"""So many large objects' contents are asked for at a time."""


class SyncKind(StrEnum):
    """How a sync brings a component to the active node's state."""

    SEED = "seed"
    DELTA = "delta"
    COMPARE = "compare"


class SyncPoint(Wire):
    """A moment both nodes know; opaque to the standby, found again only with its nonce."""

    capture_id: str
    seq: int = Field(ge=1)
    nonce: str


class TableMode(StrEnum):
    """What an export carries of a table."""

    DELTA = "delta"
    WHOLE = "whole"
    COMPARED = "compared"
    """Its digest; its rows where the copy's digest is another one."""
    REFRESHED = "refreshed"
    """Of a materialized view: its digest; where the copy's is another one, the copy is filled anew there."""


class Column(Wire):
    """A column as the export ships it."""

    name: str
    type: str = Field(description="The type's name with its modifier, schema-qualified where needed.")
    is_identity_always: bool = False


class ExportedTable(Wire):
    """One table of a manifest; `number` is its address in the export."""

    number: int
    schema_name: str
    name: str
    mode: TableMode
    columns: tuple[Column, ...] = Field(description="Shipped columns in order; generated ones are left out.")
    key: tuple[str, ...] = Field(description="Names of the key columns; empty where the table has no usable key.")
    key_count: int = Field(0, description="Changed keys (delta).")
    estimated_rows: int = 0
    estimated_bytes: int = 0
    counters: str | None = Field(
        None,
        description="Of a table that is to be compared: not what it was at the last comparison where rows were written "
        "since; null where that is not known, or not asked for.",
    )


class SequenceValue(Wire):
    """A sequence's position."""

    schema_name: str
    name: str
    last_value: int
    is_called: bool


class TableName(Wire):
    """A table by its name."""

    schema_name: str
    name: str


class Grant(Wire):
    """A right on a database."""

    grantee: str | None = Field(None, description="The role; none for PUBLIC.")
    privilege: str
    is_grantable: bool


class DatabaseSetting(Wire):
    """A setting of a database, for one role or for all."""

    role: str | None = None
    assignment: str = Field(description="name=value, as in pg_db_role_setting.")


class DatabaseProperties(Wire):
    """What a database has besides its content."""

    owner: str
    collate: str
    ctype: str
    locale_provider: str = Field(description="c (libc), i (ICU) or b (builtin).")
    locale: str | None = None
    connection_limit: int
    comment: str | None = None
    grants: tuple[Grant, ...] | None = Field(None, description="None where the rights were never changed.")
    settings: tuple[DatabaseSetting, ...] = ()


class SourceIdentity(Wire):
    """Which database an export is of, and how large it is; a database that was made anew is another one."""

    system_identifier: str = Field(description="Of its server.")
    database_oid: int
    database_bytes: int | None = Field(None, description="On disk, with indexes (seed).")


class OpenExport(Wire):
    """The standby asks for an export (`POST /components/{c}/exports`)."""

    protocol: int
    pair_id: str
    term: int = Field(description="Epoch of the term the standby follows.")
    kind: SyncKind
    since: SyncPoint | None = Field(
        None, description="Where the copy stands; needed for a delta. An export to compare with ships no rows itself."
    )
    whole: tuple[TableName, ...] = Field(
        (), description="Tables that a delta must carry whole: a seed left them out, or the copy makes them anew."
    )
    compared: tuple[TableName, ...] = Field(
        (), description="Tables to be compared besides: this node does not know what it changed in them."
    )
    brings_definitions: bool = Field(
        False, description="The standby can change its definitions in place: a delta is not refused for theirs."
    )
    tells_counters: bool = Field(
        False, description="Tell of tables that are to be compared whether rows were written since they last were."
    )
    may_widen: bool = Field(
        False, description="A large table of which most rows changed may be carried whole in place of its changed rows."
    )


class Manifest(Envelope):
    """What an open export holds, all at one snapshot."""

    export_id: str
    component: str
    kind: SyncKind
    point: SyncPoint
    snapshot_id: str = Field(description="Name of the exported snapshot on the active node's server.")
    taken_at: datetime
    encoding: str
    server_version: int = Field(description="As server_version_num.")
    tables: tuple[ExportedTable, ...]
    sequences: tuple[SequenceValue, ...]
    populated_views: tuple[TableName, ...] = Field((), description="Materialized views that hold rows.")
    large_objects: int | None = Field(None, description="How many there are; null where they are not told of.")
    database: DatabaseProperties
    unkept: tuple[UnkeptTable, ...]
    definitions_token: str = Field(
        "",
        description="Another one than before says that definitions may have changed: of tables, functions, all of it.",
    )
    schema_change: str | None = Field(
        None, description="What changed since the standby's sync point, in words (delta)."
    )
    kept_lsn: str
    source: SourceIdentity | None = Field(None, description="None of an earlier release.")


class TableDigest(Envelope):
    """What a table's rows come to at an export's snapshot (`GET /exports/{id}/tables/{number}/digest`)."""

    row_count: int | None = Field(description="Null, like the sum, where it could not be computed.")
    hash_sum: str | None
    problem: str | None = Field(None, description="Why it could not be computed: the rows have to be taken as changed.")


class TableSent(Wire):
    """What the agent sent of one table."""

    number: int
    rows: int
    keys: int
    bytes: int


class ExportView(Envelope):
    """An open export's progress (`GET /exports/{id}`)."""

    export_id: str
    component: str
    kind: SyncKind
    point: SyncPoint
    sent: tuple[TableSent, ...]


class Confirm(Wire):
    """The standby has committed this sync point (`POST /exports/{id}/confirm`)."""

    point: SyncPoint


class SyncPhase(StrEnum):
    """Where a running sync is."""

    OPENING = "opening"
    SCHEMA = "schema"
    COPYING = "copying"
    INDEXES = "indexes"
    APPLYING = "applying"
    SWAPPING = "swapping"
    VERIFYING = "verifying"
    DONE = "done"
