"""Tables whose key is of a type, in a place or of a form that keys seldom have."""

from __future__ import annotations

from typing import Final

from tests.replication.case import Case, Values, key_case

LONG: Final = ("x" * 1900, "y" * 1900)
PLAIN: Final = {
    "smallint": ("-32768", "32767", "0", "1", "2", "3"),
    "integer": ("-2147483648", "2147483647", "0", "1", "2", "3"),
    "bigint": ("-9223372036854775808", "9223372036854775807", "0", "1", "2", "3"),
    "text": ("", " ", "NULL", r"\N", "a'b\"c\\d\te\nf", "Größe 漢字 🐘", *LONG),
    "varchar(12)": ("", "a", "A", "ä", "Ä", "a "),
    "char(4)": ("", "a", "A", "ä", "Ä", "abcd"),
    "name": ("", "a", "A", "ä", "Ä", "n" * 63),
    '"char"': ("a", "b", "c", "d", "\\", " "),
    "uuid": tuple(f"{digit * 8}-0000-0000-0000-000000000000" for digit in "0123af"),
    "float4": ("NaN", "Infinity", "-Infinity", "0", "0.1", "1e-45"),
    "money": ("0", "-1.10", "92233720368547758.07", "1", "2", "3"),
    "date": ("infinity", "-infinity", "4713-01-01 BC", "5874897-12-31", "2024-02-29", "2024-03-01"),
    "time": ("00:00", "24:00", "23:59:59.999999", "01:00", "02:00", "03:00"),
    "timetz": ("00:00+15:59", "24:00-15:59", "01:00+01", "01:00+02", "02:00+00", "03:00+00"),
    "timestamp": ("infinity", "-infinity", "4713-01-01 BC", "294276-12-31", "2024-02-29 12:00:00.000001", "epoch"),
    "timestamptz": ("infinity", "-infinity", "2024-10-27 02:30+02", "2024-10-27 02:30+01", "epoch", "2024-01-01+00"),
    "inet": ("10.0.0.1", "10.0.0.1/8", "::1", "10.0.0.2", "10.0.0.3", "::/0"),
    "cidr": ("10.0.0.0/8", "10.0.0.0/16", "::/0", "0.0.0.0/0", "2001:db8::/32", "10.0.0.1"),
    "macaddr8": tuple(f"08:00:2b:01:02:03:04:0{digit}" for digit in range(6)),
    "bytea": ("", r"\x00", r"\x0000", r"\x27225c", r"\xff", r"\x" + "ab" * 900),
    "bit(6)": ("000000", "000001", "000010", "000011", "111111", "101010"),
    "varbit": ("", "0", "00", "1", "10", "11"),
    "oid": ("0", "4294967295", "1", "2", "3", "4"),
    "xid8": ("0", "18446744073709551615", "1", "2", "3", "4"),
    "tid": ("(0,1)", "(4294967295,65535)", "(0,2)", "(0,3)", "(0,4)", "(0,5)"),
    "pg_lsn": ("0/0", "FFFFFFFF/FFFFFFFF", "0/1", "0/2", "0/3", "0/4"),
    "jsonb": ("null", "{}", "[]", '{"b": [1, "x"], "a": null}', '"é\\n"', "true"),
    "tsvector": ("", "a:1A", "a:1", "b", r"'it''s':1", "c"),
    "tsquery": ("", "a & b", "a | b", "!a", "a <-> b", "a:*"),
    "int4range": ("empty", "[1,5)", "(,)", "[,7)", "[2,)", "[3,4)"),
    "nummultirange": ("{}", "{[1.0,1.10)}", "{(,)}", "{[2,3),(4,5]}", "{[6,)}", "{[7,8]}"),
    "int[]": ("{}", "{NULL}", "{1}", "{{1,2},{3,4}}", "[0:1]={1,2}", "{1,2}"),
    "text[]": ("{}", '{""}', "{NULL}", '{"NULL"}', '{"a,b","c\\"d\\\\e"}', '{"{}"}'),
    "int2vector": ("", "1", "1 2", "3", "4", "5"),
}
#: The second of each pair replaces the first in a row: a type's equality holds them equal.
RESPELLED: Final = {
    "numeric": (("1.0", "2", "3", "NaN", "-Infinity", "1e20"), [("1e20", "100000000000000000000.00")]),
    "numeric(20,5)": (("1", "2", "3", "NaN", "-0.00001", "4"), []),
    "float8": (("0", "1", "2", "NaN", "0.1", "3"), [("3", "3"), ("0", "-0")]),
    "interval": (("1 day", "2 days", "1 mon", "-1 sec", "3 days", "1 year"), [("1 year", "12 mons")]),
    "citext": (("Ann", "Bob", "Cleo", "Dora", "Émile", "Größe"), [("größe", "GRÖßE")]),
}
#: Types of our own for keys; they lie in schema public.
MADE: Final = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s, "so" \\ {so}', '', 'Größe', 'z');
CREATE DOMAIN code AS varchar(9) CHECK (VALUE ~ '^[a-z]') NOT NULL;
CREATE DOMAIN short_code AS code CHECK (length(VALUE) < 4);
CREATE TYPE place AS (street text, number numeric);
CREATE TYPE wordrange AS RANGE (subtype = text, collation = "C");
"""
COLLATIONS: Final = """
CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION german (provider = icu, locale = 'de');
"""
OF_COLLATIONS: Final = {
    "text COLLATE blind": (("ann", "bob", "cleo", "dora", "emil", "Größe"), [("größe", "GRÖßE")]),
    "text COLLATE german": (("ä", "a", "z", "Z", "ß", "ss"), []),
}
OF_MADE: Final = {
    "mood": (("sad", "ok", 'it\'s, "so" \\ {so}', "", "Größe", "z"), []),
    "mood[]": (("{}", "{sad}", "{ok,NULL}", '{""}', '{Größe,"it\'s, \\"so\\" \\\\ {so}"}', "{z}"), []),
    "short_code": (("a", "b", "c", "d", "ab", "abc"), []),
    "place": (("(a,1)", "(,)", '("b, c",2)', '("",)', "(a,3)", "(z,1.0)"), [("(z,1)", "(z,1.00)")]),
    "place[]": (('{"(a,1)"}', "{}", "{NULL}", '{"(,)"}', '{"(\\"b, c\\",2)"}', '{"(z,1.0)"}'), []),
    "wordrange": (("empty", "[a,b)", "(,)", "[a,c)", '[a,"d e")', "(,z]"), []),
    'text COLLATE "POSIX"': (("ä", "a", "z", "Z", "ß", "ss"), []),
    'varchar(5) COLLATE "C"': (("ä", "a", "z", "Z", "ß", "ss"), []),
}


def _name(type_name: str) -> str:
    return "key " + type_name.replace('"', "")


COMPOSITE: Final = Case(
    name="key of several columns",
    setup="""
        CREATE TABLE two (b text, v int, a int, PRIMARY KEY (a, b));
        INSERT INTO two VALUES ('x', 1, 1), ('y', 1, 1), ('x', 1, 2), ('', 1, 3);
        CREATE TABLE three (c date, v int, a uuid, b numeric, PRIMARY KEY (b, c, a));
        INSERT INTO three SELECT date '2024-01-01' + n, n, lpad(n::text, 32, '0')::uuid, n / 10.0
          FROM generate_series(1, 6) AS n;
        CREATE TABLE four (v text, d text COLLATE "POSIX", c bytea, b char(3), a interval, PRIMARY KEY (b, d, a, c));
        INSERT INTO four
        SELECT 'v', repeat('ä', n), decode(lpad(n::text, 2, '0'), 'hex'), 'b' || n, n * interval '1 hour'
          FROM generate_series(1, 6) AS n;
        CREATE TABLE five (e inet, d int[], v text, c timestamptz, b boolean, a bigint, PRIMARY KEY (a, b, c, d, e));
        INSERT INTO five
        SELECT ('10.0.0.' || n)::inet, ARRAY[n, NULL], 'v', timestamptz '2024-01-01 00:00+02' + n * '1 h'::interval,
               n % 2 = 0, n
          FROM generate_series(1, 6) AS n;""",
    rounds=(
        """UPDATE two SET v = 2 WHERE (a, b) = (1, 'y');
           UPDATE three SET v = -1 WHERE v = 2;
           UPDATE four SET v = 'w' WHERE b = 'b3';
           UPDATE five SET v = 'w' WHERE a = 4;""",
        """UPDATE two SET b = b || 'z', v = v + 1 WHERE a = 1;
           INSERT INTO two VALUES ('x', 9, 1), (E'a''b\\tc\\\\', 9, 9); DELETE FROM two WHERE a = 3;
           UPDATE three SET b = b + 1 WHERE v = 3; UPDATE three SET c = c + 1, a = gen_random_uuid() WHERE v = 4;
           DELETE FROM three WHERE v = 5; INSERT INTO three VALUES ('infinity', 7, gen_random_uuid(), 'NaN');
           UPDATE four SET d = d || 'ß' WHERE b IN ('b1', 'b2'); UPDATE four SET c = '\\x00' WHERE b = 'b4';
           DELETE FROM four WHERE b = 'b5'; INSERT INTO four VALUES ('n', '', '', '', '0');
           UPDATE five SET d = '{}' WHERE a = 1; UPDATE five SET a = a + 100, b = NOT b WHERE a IN (2, 3);
           DELETE FROM five WHERE a = 5; INSERT INTO five VALUES ('::1', '{{1},{2}}', 'n', '-infinity', true, -1);""",
        """TRUNCATE two, three; INSERT INTO two VALUES ('x', 1, 1);
           UPDATE four SET a = a * 2, b = 'c' || right(b, 1); UPDATE five SET e = e + 1, c = c + '1 day';""",
    ),
    single=tuple(f"key of several columns.{table}" for table in ("three", "four", "five", "two")),
)

CASES: Final[tuple[Case, ...]] = (
    *(key_case(_name(type_name), Values(type_name, texts)) for type_name, texts in PLAIN.items()),
    *(
        key_case(
            _name(type_name),
            Values(type_name, texts),
            respell=respell,
            needs="citext" if type_name == "citext" else None,
        )
        for type_name, (texts, respell) in RESPELLED.items()
    ),
    *(
        key_case(_name(type_name), Values(type_name, texts), respell=respell)
        for type_name, (texts, respell) in OF_MADE.items()
    ),
    *(
        key_case(_name(type_name), Values(type_name, texts), setup=COLLATIONS, respell=respell, needs="icu")
        for type_name, (texts, respell) in OF_COLLATIONS.items()
    ),
    COMPOSITE,
)
