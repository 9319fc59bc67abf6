"""Every built-in type with the values that are easily lost on the way, and types that applications make of them."""

from __future__ import annotations

from typing import Final

from tests.replication.case import Case, Values, values_case

#: Built-in types of which no value can be written down: their input functions refuse everything.
WITHOUT_INPUT: Final = frozenset(
    {
        "gtsvector",
        "pg_brin_bloom_summary",
        "pg_brin_minmax_multi_summary",
        "pg_dependencies",
        "pg_mcv_list",
        "pg_ndistinct",
        "pg_node_tree",
    }
)

NUMBERS: Final = {
    "bool": ("true", "false"),
    "int2": ("-32768", "32767", "0"),
    "int4": ("-2147483648", "2147483647", "0"),
    "int8": ("-9223372036854775808", "9223372036854775807", "0"),
    "float4": ("NaN", "Infinity", "-Infinity", "-0", "0", "0.1", "3.4028235e38", "1e-45"),
    "float8": ("NaN", "Infinity", "-Infinity", "-0", "0", "0.1", "1.7976931348623157e308", "5e-324"),
    "numeric": ("NaN", "Infinity", "-Infinity", "0", "1.0", "1.00", "-1e-300", "1e300", "123456789012345678901.10"),
    "numeric(20,5)": ("NaN", "0", "-1.00001", "999999999999999.99999"),
    "money": ("-92233720368547758.08", "92233720368547758.07", "0", "1.10"),
    "bit(10)": ("0000000000", "1111111111", "0101010101"),
    "varbit": ("", "1", "010101010101010101"),
}
TEXTS: Final = {
    "text": (
        "",
        " ",
        "NULL",
        "null",
        r"\N",
        r"\.",
        "tab\tnewline\nreturn\rbackslash\\ backspace\b feed\f vertical\v",
        "quote ' double \" brace { } comma , paren ( )",
        "Größe Ж 漢字 🐘 é e\u0301 \u200b\ufeff",
        r"\\x41 \101 \x",
    ),
    "varchar": ("", "ä" * 300, " trailing "),
    "varchar(3)": ("", "äöü", "  a"),
    "bpchar": ("", "a ", "b"),
    "char(5)": ("", "ab", "abcde", "äöüßé"),
    '"char"': ("", "a", "\\", " "),
    "name": ("", "Name", "n" * 63, 'with "quotes"'),
    "bytea": ("", r"\x00", r"\x5c782700ff0a0d09", "\\\\"),
    "xml": ("<a>x</a>", "text &amp; more", '<b c="é"/>tail', ""),
    "json": ('{"a": 1, "a": 2}', " [1,2 , 3] ", r'"\u00e9 \n"', "null", '{"key with \\"": "\\\\"}'),
    "jsonb": ('{"b": 1, "a": []}', "1.10", '"\\u00e9 \\n"', "null", '{"deep": {"er": [null, true, 1e20]}}'),
    "jsonpath": ("$", '$.a[*] ? (@ > 1 && @ starts with "x")', "strict $.**{2 to last}"),
    "tsvector": ("", "a:1A fat:2B,4C cat:5", r"'it''s':1 'back\\slash' 'sp ace':3"),
    "tsquery": ("", "fat & (rat | cat:AB*)", "!a <-> b <3> c"),
    "uuid": (
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
}
TIMES: Final = {
    "date": ("infinity", "-infinity", "4713-01-01 BC", "5874897-12-31", "2024-02-29"),
    "time": ("00:00:00", "24:00:00", "23:59:59.999999"),
    "timetz": ("00:00:00+15:59", "24:00:00-15:59", "23:59:59.999999+00"),
    "timestamp": (
        "infinity",
        "-infinity",
        "4713-01-01 00:00:00 BC",
        "294276-12-31 23:59:59.999999",
        "2024-02-29 12:00",
    ),
    "timestamptz": ("infinity", "-infinity", "4713-01-01 00:00:00+00 BC", "2024-03-31 02:30:00.000001+05:30"),
    "timestamptz(0)": ("infinity", "2024-10-27 02:30:00+02", "2024-10-27 02:30:00+01"),
    "interval": ("0", "1 day", "24:00:00", "-1 mon +2 days -03:04:05.000006", "-178000000 years", "1 year -1 day"),
    "interval day to second": ("1 day", "-1 day 00:00:00.5"),
}
NETWORK: Final = {
    "inet": ("10.1.2.3/8", "::1", "fe80::1:2/64", "255.255.255.255", "::ffff:1.2.3.4/128"),
    "cidr": ("10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0", "::/0"),
    "macaddr": ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "08:00:2b:01:02:03"),
    "macaddr8": ("00:00:00:00:00:00:00:00", "08:00:2b:01:02:03:04:05"),
}
SHAPES: Final = {
    "point": ("(0,-0)", "(NaN,Infinity)", "(1e300,-1e-300)"),
    "line": ("{1,-1,0}", "{0,1,0.1}"),
    "lseg": ("[(0,0),(1,1)]", "[(-1e300,0.1),(0,0)]"),
    "box": ("(1,1),(0,0)", "(Infinity,1),(-Infinity,0)"),
    "path": ("[(0,0),(1,1),(2,0)]", "((0,0),(1,1),(2,0))"),
    "polygon": ("((0,0),(1,1),(2,0))", "((0.1,0))"),
    "circle": ("<(0,0),1e-300>", "<(0.1,-0.1),Infinity>"),
}
RANGES: Final = {
    "int4range": ("empty", "[1,5)", "(,)", "[,7]"),
    "int8range": ("empty", "[-9223372036854775808,9223372036854775807)", "(,)"),
    "numrange": ("empty", "[1.10,2.200]", "(NaN,)", "(,-Infinity]"),
    "daterange": ("empty", "[2024-01-01,2024-12-31]", "[-infinity,infinity)"),
    "tsrange": ("empty", '["2024-01-01 00:00","2024-01-01 00:00"]', "[-infinity,infinity]"),
    "tstzrange": ("empty", '["2024-01-01 00:00+02",)', "(,infinity)"),
    "int4multirange": ("{}", "{[1,2),[5,)}", "{(,)}"),
    "int8multirange": ("{}", "{[1,2),[5,)}"),
    "nummultirange": ("{}", "{[1.0,1.10),(2,3.00]}"),
    "datemultirange": ("{}", "{[2024-01-01,2024-02-01),[2025-01-01,)}"),
    "tsmultirange": ("{}", '{["2024-01-01 00:00","2024-01-02 00:00")}'),
    "tstzmultirange": ("{}", '{["2024-01-01 00:00+02","2024-01-02 00:00+00"]}'),
}
SYSTEM: Final = {
    "oid": ("0", "4294967295", "16384"),
    "xid": ("0", "4294967295"),
    "xid8": ("0", "18446744073709551615"),
    "cid": ("0", "4294967295"),
    "tid": ("(0,1)", "(4294967295,65535)"),
    "pg_lsn": ("0/0", "FFFFFFFF/FFFFFFFF", "16/B374D848"),
    "pg_snapshot": ("10:20:10,14,15", "1:1:"),
    "txid_snapshot": ("10:20:10,14,15", "1:1:"),
    "int2vector": ("", "1 -2 3"),
    "oidvector": ("", "1 2 4294967295"),
    "refcursor": ("", "a cursor"),
    "aclitem": ("=r/postgres", "postgres=arwdDxt*/postgres"),
    "regproc": ("-", "now"),
    "regprocedure": ("-", "abs(integer)"),
    "regoper": ("0", "||/"),
    "regoperator": ("0", "+(integer,integer)"),
    "regclass": ("-", "pg_class"),
    "regcollation": ("-", '"C"'),
    "regtype": ("-", "numeric[]", "timestamp with time zone"),
    "regrole": ("-", "postgres"),
    "regnamespace": ("-", "public"),
    "regconfig": ("english", "simple"),
    "regdictionary": ("english_stem", "simple"),
}
GROUPS: Final = {
    "numbers": NUMBERS,
    "texts": TEXTS,
    "times": TIMES,
    "network": NETWORK,
    "shapes": SHAPES,
    "ranges": RANGES,
    "system": SYSTEM,
}

MADE: Final = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s, "so" \\ {so}', '');
ALTER TYPE mood ADD VALUE 'between' BEFORE 'ok';
CREATE DOMAIN positive AS numeric CHECK (VALUE > 0);
CREATE DOMAIN small AS positive CHECK (VALUE < 1000) DEFAULT 1;
CREATE DOMAIN moods AS mood[] CHECK (cardinality(VALUE) < 9);
CREATE TYPE place AS (street text, number int, "Zip Code" varchar(9));
CREATE TYPE person AS (name text, home place, past place[], feels mood);
CREATE DOMAIN home AS place CHECK ((VALUE).number IS DISTINCT FROM 13);
CREATE TYPE wordrange AS RANGE (subtype = text, collation = "C");
"""
MADE_VALUES: Final = {
    "mood": ("sad", "between", 'it\'s, "so" \\ {so}', ""),
    "positive": ("1.0", "1.00", "1e20"),
    "small": ("0.1", "999.9990"),
    "moods": ("{}", "{sad,NULL,ok}", '{"","it\'s, \\"so\\" \\\\ {so}"}'),
    "place": ('("High, Street",1,"A ""1""")', "(,,)", '("",,\\\\)'),
    "person": ('(Ann,"(Lane,2,)","{""(Road,3,4)"",NULL}",ok)', "(,,,)", '("","(,,)",{},"")'),
    "home": ("(Lane,12,)", "(,,)"),
    "wordrange": ("empty", '[a,"b c")', "(,)"),
    "wordmultirange": ("{}", '{[a,b),["c d",)}'),
}


def _values(types: dict[str, tuple[str, ...]]) -> list[Values]:
    return [Values(name, texts) for name, texts in types.items()]


BUILT_IN: Final[tuple[Case, ...]] = tuple(values_case(name, _values(types)) for name, types in GROUPS.items())
CASES: Final[tuple[Case, ...]] = (
    *BUILT_IN,
    values_case("made", _values(MADE_VALUES), setup=MADE),
    values_case("hstore", [Values("hstore", ("", 'a=>"1, 2", b=>NULL', '"k \\"q\\""=>"\\\\"'))], needs="hstore"),
    values_case("ltree", [Values("ltree", ("", "Top.Science", "a")), Values("lquery", ("*.a{1,2}",))], needs="ltree"),
    values_case("cube", [Values("cube", ("(1,2,3)", "(1),(2)", "(0.1,-0)"))], needs="cube"),
    values_case("seg", [Values("seg", ("1.00", "~5.0 .. 6.50", "<3"))], needs="seg"),
    values_case("isn", [Values("isbn13", ("978-0-11-000533-1", "978-3-16-148410-0"))], needs="isn"),
)
