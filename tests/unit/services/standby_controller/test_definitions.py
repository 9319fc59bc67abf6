"""What leads from one set of definitions to the next: what goes, what stays, what is made again."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Final

import pytest

from services.standby_controller.definitions.amending import amend
from services.standby_controller.definitions.archive import Entry, Section, pack, unpack
from services.standby_controller.definitions.difference import Difference, find_difference, find_unlike
from services.standby_controller.definitions.undoing import take_back
from shared.errors import SchemaChanged
from shared.replication.model import TableName

_numbers = itertools.count(1)


def entry(
    kind: str, tag: str, definition: str, *on: Entry, drop: str = "", section: Section = Section.PRE_DATA
) -> Entry:
    """Make an entry of schema public, owned by app."""
    number = next(_numbers)
    return Entry(
        number, kind, "public", tag, "app", " heap", section, definition, drop, tuple(one.dump_id for one in on)
    )


TABLE: Final = entry("TABLE", "t", "CREATE TABLE public.t (\n    id integer\n);\n", drop="DROP TABLE public.t;\n")
OTHER: Final = entry("TABLE", "u", "CREATE TABLE public.u (\n    id integer\n);\n", drop="DROP TABLE public.u;\n")
COMMENT: Final = entry(
    "COMMENT", "TABLE t", "COMMENT ON TABLE public.t IS 'a; IS ''b''';\n", TABLE, section=Section.NONE
)
VIEW: Final = entry("VIEW", "v", "CREATE VIEW public.v AS\n SELECT 1;\n", TABLE, drop="DROP VIEW public.v;\n")
KEY: Final = entry(
    "CONSTRAINT",
    "t t_pkey",
    "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (id);\n",
    TABLE,
    drop="ALTER TABLE ONLY public.t DROP CONSTRAINT t_pkey;\n",
    section=Section.POST_DATA,
)
RIGHTS: Final = entry(
    "ACL",
    "TABLE t",
    "REVOKE ALL ON TABLE public.t FROM app;\nGRANT SELECT ON TABLE public.t TO reader WITH GRANT OPTION;\n",
    TABLE,
    section=Section.NONE,
)
BEFORE: Final = (TABLE, OTHER, COMMENT, VIEW, KEY, RIGHTS)
T: Final = TableName(schema_name="public", name="t")


def replaced(old: Entry, definition: str) -> tuple[Entry, ...]:
    """Return the definitions with another one of an object; the numbers are those of another dump."""
    changed = [
        Entry(**{name: getattr(one, name) for name in Entry.__dataclass_fields__} | {"definition": definition})
        if one is old
        else one
        for one in BEFORE
    ]
    return tuple(changed)


def test_nothing_changed_is_nothing_to_do() -> None:
    assert find_difference(BEFORE, BEFORE) == Difference(
        (), (), frozenset(), (), frozenset(), (), (), frozenset(), frozenset(), frozenset(), ()
    )
    assert find_difference(BEFORE, BEFORE).is_empty


def test_a_changed_table_goes_with_all_that_depends_on_it_and_is_copied() -> None:
    found = find_difference(BEFORE, replaced(TABLE, "CREATE TABLE public.t (\n    id bigint\n);\n"))
    assert found.undo == (VIEW.drop, TABLE.drop)
    assert found.make == {TABLE.dump_id, COMMENT.dump_id, VIEW.dump_id}
    assert found.index == {KEY.dump_id}
    assert found.finish == {RIGHTS.dump_id}
    assert found.copied == {T}


def test_a_changed_view_leaves_its_tables() -> None:
    found = find_difference(BEFORE, replaced(VIEW, "CREATE VIEW public.v AS\n SELECT 2;\n"))
    assert (found.undo, found.make) == ((VIEW.drop,), frozenset({VIEW.dump_id}))
    assert not found.copied


def test_another_key_calls_for_all_rows() -> None:
    """While they are brought there is no key to find them by."""
    found = find_difference(BEFORE, replaced(KEY, KEY.definition.replace("(id)", "(id) INCLUDE (name)")))
    assert (found.undo, found.index) == ((KEY.drop,), frozenset({KEY.dump_id}))
    assert found.copied == {T}


def test_a_table_that_is_not_as_it_should_be_is_named() -> None:
    """By all that is said of it; what is said of others is none of it."""
    name = TableName(schema_name="public", name="t")
    assert find_unlike([name], BEFORE, BEFORE) == []
    assert find_unlike([name], tuple(one for one in BEFORE if one is not TABLE), BEFORE) == [name]
    about = [one for one in BEFORE if TABLE.dump_id in one.depends_on and one.kind != "ACL"]
    assert about
    for one in about:
        assert find_unlike([name], tuple(other for other in BEFORE if other is not one), BEFORE) == [name]


def test_what_is_said_is_taken_back() -> None:
    without = tuple(one for one in BEFORE if one not in (COMMENT, RIGHTS))
    found = find_difference(BEFORE, without)
    assert found.undo == (
        "REVOKE SELECT ON TABLE public.t FROM reader;\nGRANT ALL ON TABLE public.t TO app;",
        "COMMENT ON TABLE public.t IS NULL;",
    )
    assert not found.make | found.index | found.finish | {one.name for one in found.copied}


def test_rights_on_a_column_are_taken_back_with_those_on_its_table() -> None:
    """Each by its own statement: what the table's takes away is not all that the column's gave."""
    column = entry(
        "ACL",
        "COLUMN t.id",
        "GRANT UPDATE(id) ON TABLE public.t TO reader;\n",
        TABLE,
        RIGHTS,
        section=Section.NONE,
    )
    found = find_difference((*BEFORE, column), tuple(one for one in BEFORE if one is not RIGHTS))
    assert found.undo == (
        "REVOKE UPDATE(id) ON TABLE public.t FROM reader;",
        "REVOKE SELECT ON TABLE public.t FROM reader;\nGRANT ALL ON TABLE public.t TO app;",
    )


def test_what_no_statement_brings_about_calls_for_a_full_copy() -> None:
    strange = entry("STRANGE", "s", "DO SOMETHING;")
    with pytest.raises(SchemaChanged, match=r"strange public\.s changed"):
        find_difference((strange,), ())


@pytest.mark.parametrize(
    ("kind", "definition", "taken_back"),
    [
        (
            "TABLE ATTACH",
            "ALTER TABLE ONLY public.p ATTACH PARTITION public.p1 FOR VALUES FROM (0) TO (9);\n",
            "ALTER TABLE ONLY public.p DETACH PARTITION public.p1;",
        ),
        (
            "TABLE ATTACH",
            "ALTER TABLE ONLY public.p ATTACH PARTITION public.rest DEFAULT;\n",
            "ALTER TABLE ONLY public.p DETACH PARTITION public.rest;",
        ),
        (
            "DEFAULT ACL",
            "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA public GRANT SELECT ON TABLES TO reader;\n",
            "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA public REVOKE SELECT ON TABLES FROM reader;",
        ),
        (
            "ROW SECURITY",
            "ALTER TABLE public.t ENABLE ROW LEVEL SECURITY;\n",
            "ALTER TABLE public.t DISABLE ROW LEVEL SECURITY;\n",
        ),
        (
            "SEQUENCE OWNED BY",
            "ALTER SEQUENCE public.s OWNED BY public.t.id;\n",
            "ALTER SEQUENCE public.s OWNED BY NONE;",
        ),
        ("ACL", "SET SESSION AUTHORIZATION other;\nGRANT ALL ON TABLE public.t TO reader;\n", None),
    ],
)
def test_statements_that_pg_dump_does_not_know(kind: str, definition: str, taken_back: str | None) -> None:
    assert take_back(entry(kind, "x", definition)) == taken_back


def enum(*labels: str) -> Entry:
    """Make an enum."""
    lines = ",\n".join(f"    '{label}'" for label in labels)
    return entry("TYPE", "mood", f"CREATE TYPE public.mood AS ENUM (\n{lines}\n);\n", drop="DROP TYPE public.mood;\n")


@pytest.mark.parametrize(
    ("after", "statements"),
    [
        (("a", "b", "c"), ["'c' AFTER 'b'"]),
        (("z", "a", "b"), ["'z' BEFORE 'a'"]),
        (("a", "it''s", "and", "b"), ["'it''s' AFTER 'a'", "'and' AFTER 'it''s'"]),
    ],
)
def test_labels_are_added_where_they_stand(after: tuple[str, ...], statements: list[str]) -> None:
    amendment = amend(enum("a", "b"), enum(*after))
    assert amendment is not None
    assert amendment.before == tuple(f"ALTER TYPE public.mood ADD VALUE IF NOT EXISTS {one};" for one in statements)


@pytest.mark.parametrize("after", [("b", "a"), ("a",), ("a", "c"), ()])
def test_labels_that_went_or_moved_call_for_another_type(after: tuple[str, ...]) -> None:
    assert amend(enum("a", "b"), enum(*after)) is None


def test_a_function_of_the_same_arguments_and_result_is_replaced() -> None:
    def function(body: str, result: str = "integer") -> Entry:
        definition = f"CREATE FUNCTION public.f(i integer) RETURNS {result}\n    LANGUAGE sql\n    AS '{body}';\n"
        return entry("FUNCTION", "f(integer)", definition, drop="DROP FUNCTION public.f(i integer);\n")

    amendment = amend(function("SELECT 1"), function("SELECT 2"))
    assert amendment is not None
    assert amendment.statements[0].startswith("CREATE OR REPLACE FUNCTION public.f(i integer) RETURNS integer\n")
    assert amend(function("SELECT 1"), function("SELECT 1", "bigint")) is None


def test_a_sequence_is_altered() -> None:
    def sequence(increment: int, end: str = "", kind: str = "") -> Entry:
        start = f"CREATE SEQUENCE public.s{kind}\n    START WITH 1\n"
        definition = f"{start}    INCREMENT BY {increment}\n    CACHE 1{end};\n"
        return entry("SEQUENCE", "s", definition, drop="DROP SEQUENCE public.s;\n")

    small = "\n    AS smallint"
    amendment = amend(sequence(1, "\n    CYCLE", small), sequence(5))
    assert amendment is not None
    assert amendment.statements == (
        "ALTER SEQUENCE public.s\n    START WITH 1\n    INCREMENT BY 5\n    CACHE 1\n    AS bigint\n    NO CYCLE;",
    )
    amendment = amend(sequence(1), sequence(5, "\n    CYCLE", small))
    assert amendment is not None
    assert amendment.statements == (
        "ALTER SEQUENCE public.s\n    AS smallint\n    START WITH 1\n    INCREMENT BY 5\n    CACHE 1\n    CYCLE;",
    )


def test_entries_are_kept_as_they_are() -> None:
    odd = entry("COMMENT", "TABLE ä", "COMMENT ON TABLE public.ä IS '\udce4';")
    assert unpack(pack((*BEFORE, odd))) == (*BEFORE, odd)


ROOT: Final = entry("TABLE", "p", "CREATE TABLE public.p ()\nPARTITION BY LIST (id);\n", drop="DROP TABLE public.p;\n")
LEAF: Final = entry("TABLE", "p1", "CREATE TABLE public.p1 ();\n", ROOT, drop="DROP TABLE public.p1;\n")
ATTACHED: Final = entry(
    "TABLE ATTACH", "p1", "ALTER TABLE ONLY public.p ATTACH PARTITION public.p1 DEFAULT;\n", LEAF, ROOT
)
ROOT_INDEX: Final = entry(
    "INDEX", "i", "CREATE INDEX i ON ONLY public.p;\n", ROOT, drop="DROP INDEX public.i;\n", section=Section.POST_DATA
)
LEAF_INDEX: Final = entry("INDEX", "i1", "CREATE INDEX i1 ON public.p1;\n", LEAF, ROOT_INDEX, section=Section.POST_DATA)
INDEX_ATTACHED: Final = entry(
    "INDEX ATTACH",
    "i1",
    "ALTER INDEX public.i ATTACH PARTITION public.i1;\n",
    *(LEAF_INDEX, ROOT_INDEX, LEAF, ROOT),
    section=Section.POST_DATA,
)
DIVIDED: Final = (ROOT, LEAF, ATTACHED, ROOT_INDEX, LEAF_INDEX, INDEX_ATTACHED)


def with_other(old: Entry, before: tuple[Entry, ...], **other: str) -> tuple[Entry, ...]:
    """Return the entries with another one in the place of an old one."""
    return tuple(replace(one, **other) if one is old else one for one in before)  # type: ignore[arg-type]


def test_an_index_of_a_partition_goes_with_the_one_it_is_a_part_of() -> None:
    """The server drops no part alone; the tables stay."""
    found = find_difference(DIVIDED, with_other(LEAF_INDEX, DIVIDED, definition="CREATE INDEX i1 ON public.p1 (x);\n"))
    assert found.undo == (ROOT_INDEX.drop,)
    assert found.index == {ROOT_INDEX.dump_id, LEAF_INDEX.dump_id}
    assert found.finish == {INDEX_ATTACHED.dump_id}
    assert not found.make
    assert not found.copied


def test_a_partition_that_is_made_again_takes_its_own_index_alone() -> None:
    changed = with_other(LEAF, DIVIDED, definition="CREATE TABLE public.p1 () WITH (fillfactor=50);\n")
    found = find_difference(DIVIDED, changed)
    assert found.undo == (LEAF.drop,)
    assert (found.index, found.attach) == (frozenset({LEAF_INDEX.dump_id}), (ATTACHED.definition,))


def test_a_partition_without_a_part_of_an_index_is_not_attached_again() -> None:
    """The server would make the part, which the source has not."""
    before = tuple(one for one in DIVIDED if one not in (LEAF_INDEX, INDEX_ATTACHED))
    after = with_other(LEAF, before, definition="CREATE TABLE public.p1 () WITH (fillfactor=50);\n")
    with pytest.raises(SchemaChanged, match=r"index public\.i has no part there"):
        find_difference(before, after)
