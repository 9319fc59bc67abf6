"""Which changes of a table need no row of it, read from what pg_dump writes."""

from __future__ import annotations

import pytest

from services.standby_controller.definitions.tables import TableChange, alter_table, name_requirements

TABLE = """CREATE TABLE public.city (
    id integer NOT NULL,
    sorted text DEFAULT 'a'::text CONSTRAINT "sorted or not" NOT NULL NO INHERIT COLLATE pg_catalog."C",
    "odd name" text DEFAULT 'a, b'::text,
    size numeric(10,2) DEFAULT (1)::numeric NOT NULL,
    twice integer GENERATED ALWAYS AS ((id * 2)) STORED,
    CONSTRAINT city_check CHECK ((size > (0)::numeric))
)
WITH (fillfactor='70', autovacuum_enabled=off);
ALTER TABLE ONLY public.city REPLICA IDENTITY FULL;
"""
NOTHING = TableChange()


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("DEFAULT 'a, b'::text", "DEFAULT 'c'::text", ([], ["\"odd name\" SET DEFAULT 'c'::text"], [])),
        (" DEFAULT 'a, b'::text", "", (['"odd name" DROP DEFAULT'], [], [])),
        ("DEFAULT 'a, b'::text", "DEFAULT 'a, b'::text NOT NULL", ([], [], ['"odd name" SET NOT NULL'])),
        (" DEFAULT (1)::numeric NOT NULL", "", (["size DROP DEFAULT", "size DROP NOT NULL"], [], [])),
        ("id integer NOT NULL", "id integer", (["id DROP NOT NULL"], [], [])),
        ("DEFAULT 'a'::text", "DEFAULT 'b'::text", ([], ["sorted SET DEFAULT 'b'::text"], [])),
        (' CONSTRAINT "sorted or not" NOT NULL NO INHERIT', "", (["sorted DROP NOT NULL"], [], [])),
    ],
)
def test_a_column_is_altered(old: str, new: str, wanted: tuple[list[str], ...]) -> None:
    assert old in TABLE
    loosen, extend, tighten = (tuple(f"ALTER TABLE public.city ALTER COLUMN {one};" for one in part) for part in wanted)
    assert alter_table(TABLE, TABLE.replace(old, new)) == TableChange(loosen, extend, tighten)


def test_a_check_goes_before_the_rows_come_and_is_made_when_they_are_there() -> None:
    new = TABLE.replace("size > (0)", "size > (1)").replace(
        "    CONSTRAINT", "    CONSTRAINT other CHECK ((id > 1)) NO INHERIT,\n    CONSTRAINT"
    )
    assert alter_table(TABLE, new) == TableChange(
        loosen=("ALTER TABLE public.city DROP CONSTRAINT city_check;",),
        tighten=(
            "ALTER TABLE public.city ADD CONSTRAINT other CHECK ((id > 1)) NO INHERIT;",
            "ALTER TABLE public.city ADD CONSTRAINT city_check CHECK ((size > (1)::numeric));",
        ),
    )


def test_options_are_set_and_reset() -> None:
    new = TABLE.replace("fillfactor='70', autovacuum_enabled=off", "autovacuum_enabled=on, toast.fillfactor='9'")
    assert alter_table(TABLE, new) == TableChange(
        extend=(
            "ALTER TABLE public.city RESET (fillfactor);",
            "ALTER TABLE public.city SET (autovacuum_enabled=on, toast.fillfactor='9');",
        )
    )
    without = TABLE.replace("\nWITH (fillfactor='70', autovacuum_enabled=off);", ";")
    assert alter_table(TABLE, without) == TableChange(
        extend=("ALTER TABLE public.city RESET (fillfactor, autovacuum_enabled);",)
    )
    assert alter_table(TABLE, TABLE) == NOTHING


def test_columns_are_added_at_the_end() -> None:
    """Empty at first: whether older rows have values there is not written in a definition."""
    new = TABLE.replace(
        ") STORED,",
        ') STORED,\n    more text DEFAULT \'x\'::text NOT NULL COLLATE public."c d",\n    "last one" integer,',
    )
    assert alter_table(TABLE, new) == TableChange(
        extend=(
            'ALTER TABLE public.city ADD COLUMN more text COLLATE public."c d";',
            'ALTER TABLE public.city ADD COLUMN "last one" integer;',
            "ALTER TABLE public.city ALTER COLUMN more SET DEFAULT 'x'::text;",
        ),
        tighten=("ALTER TABLE public.city ALTER COLUMN more SET NOT NULL;",),
        grows=True,
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("id integer", "id bigint"),
        ("id integer NOT NULL", "ident integer NOT NULL"),
        ("    id integer NOT NULL,\n", ""),
        ("    id integer NOT NULL,\n", "    id integer NOT NULL,\n    more text,\n"),
        (") STORED,\n", ") STORED,\n    CONSTRAINT x NOT NULL id,\n"),
        ("(id * 2)", "(id * 3)"),
        ("(id * 2)", "(length(' DEFAULT 1'::text))"),
        ('"sorted or not"', "other"),
        (' CONSTRAINT "sorted or not" NOT NULL NO INHERIT', " NOT NULL"),
        ('COLLATE pg_catalog."C"', 'COLLATE pg_catalog."POSIX"'),
        ("    id integer NOT NULL,\n", "    id integer CONSTRAINT named NOT NULL,\n"),
        ("public.city (", "public.town ("),
        ("CREATE TABLE", "CREATE UNLOGGED TABLE"),
        ("REPLICA IDENTITY FULL", "REPLICA IDENTITY NOTHING"),
        (")\nWITH", ")\nINHERITS (public.place)\nWITH"),
        (")\nWITH", ")\nPARTITION BY RANGE (id)\nWITH"),
        ("'a, b'::text", "'a\n    b text'::text"),
        ("'70'", "'7''0'"),
    ],
)
def test_what_is_not_read_for_certain_is_made_again(old: str, new: str) -> None:
    assert old in TABLE
    assert alter_table(TABLE, TABLE.replace(old, new)) is None


def test_what_requires_a_value_is_named() -> None:
    """Also where a partition that was detached has the name; what is named already, or read for no certain, stays."""
    definition = """CREATE TABLE public.t (
    k integer NOT NULL,
    "Wide ""col" text DEFAULT 'a NOT NULL,'::text NOT NULL NO INHERIT,
    named integer CONSTRAINT other NOT NULL,
    a boolean,
    CONSTRAINT c CHECK ((a IS NOT NULL)),
    last date NOT NULL
)
PARTITION BY HASH (k);
"""
    assert (
        name_requirements('T "x', definition)
        == """CREATE TABLE public.t (
    k integer CONSTRAINT "T ""x_k_not_null" NOT NULL,
    "Wide ""col" text DEFAULT 'a NOT NULL,'::text CONSTRAINT "T ""x_Wide ""col_not_null" NOT NULL NO INHERIT,
    named integer CONSTRAINT other NOT NULL,
    a boolean,
    CONSTRAINT c CHECK ((a IS NOT NULL)),
    last date CONSTRAINT "T ""x_last_not_null" NOT NULL
)
PARTITION BY HASH (k);
"""
    )
    text = "CREATE TABLE public.t (\n    v text DEFAULT 'a\n    b integer NOT NULL,\n'::text NOT NULL\n);\n"
    assert name_requirements("t", text) == text
