"""Keys, values and names in databases whose encoding is not UTF8: one of a byte a letter, one that knows no letters."""

from __future__ import annotations

from typing import Final

from tests.replication.case import Case

LATIN1: Final = Case(
    name="ünïcôdé",
    setup="""
        CREATE TYPE "Stück" AS ENUM ('groß', 'klein');
        CREATE TABLE "Größe" (v text, "Schlüssel" text PRIMARY KEY, "Wärt" int);
        INSERT INTO "Größe" SELECT 'ÿþ' || n, 'käy' || n, n FROM generate_series(1, 6) AS n;
        CREATE TABLE several ("ß" "Stück", v text, a varchar(9), "é" int, PRIMARY KEY (a, "ß", "é"));
        INSERT INTO several SELECT 'groß', 'ü', 'ä' || n, n FROM generate_series(1, 6) AS n;
        CREATE TABLE whole (v text, k char(5) PRIMARY KEY); ALTER TABLE whole REPLICA IDENTITY FULL;
        INSERT INTO whole SELECT repeat('é', 3000), 'ñ' || n FROM generate_series(1, 6) AS n;
        CREATE SEQUENCE "Zähler";""",
    rounds=(
        """UPDATE "Größe" SET "Wärt" = 0 WHERE "Schlüssel" = 'käy1'; UPDATE several SET v = 'x' WHERE "é" = 1;
           UPDATE whole SET v = 'é' WHERE k = 'ñ1';""",
        """UPDATE "Größe" SET "Schlüssel" = upper("Schlüssel") || 'Ä' WHERE "Wärt" < 3;
           DELETE FROM "Größe" WHERE "Wärt" = 5; INSERT INTO "Größe" VALUES (NULL, 'ÿ', 7);
           UPDATE several SET "ß" = 'klein' WHERE "é" = 2; UPDATE several SET a = a || 'Ö', "é" = -1 WHERE "é" = 3;
           DELETE FROM several WHERE "é" = 5;
           UPDATE whole SET k = 'Ñ' || right(trim(k), 1) WHERE k IN ('ñ2', 'ñ3'); DELETE FROM whole WHERE k = 'ñ5';
           SELECT nextval('"Zähler"');""",
        """TRUNCATE "Größe"; INSERT INTO "Größe" VALUES ('¿', '½', 1); UPDATE several SET v = 'Æ';
           UPDATE whole SET v = k;""",
    ),
    single=("ünïcôdé.Größe", "ünïcôdé.several", "ünïcôdé.whole"),
)
SQL_ASCII: Final = Case(
    name="bytes",
    setup=r"""
        CREATE TABLE one (v text, k text PRIMARY KEY, n int);
        INSERT INTO one SELECT E'\xff\xfe' || n, E'k\xe4' || n, n FROM generate_series(1, 6) AS n;
        CREATE TABLE two (b varchar(9), v text, a text, PRIMARY KEY (a, b));
        INSERT INTO two SELECT E'\xc3\xa4' || n, E'\x80', E'\xa4\xc3' || n FROM generate_series(1, 6) AS n;
        CREATE TABLE "Größe" ("Schlüssel" text PRIMARY KEY, v text);
        INSERT INTO "Größe" SELECT 'ä' || n, 'ö' FROM generate_series(1, 6) AS n;""",
    rounds=(
        r"""UPDATE one SET n = 0 WHERE k = E'k\xe41'; UPDATE two SET v = E'\xe9\\' WHERE a = E'\xa4\xc31';
           UPDATE "Größe" SET v = 'x' WHERE "Schlüssel" = 'ä1';""",
        r"""UPDATE one SET k = k || E'\xff' WHERE n IN (2, 3); DELETE FROM one WHERE n = 5;
           INSERT INTO one VALUES (NULL, E'\x80', 7);
            UPDATE two SET b = E'\xb0' || b WHERE right(b, 1) = '2'; DELETE FROM two WHERE right(b, 1) = '5';
            UPDATE "Größe" SET "Schlüssel" = "Schlüssel" || 'ß' WHERE "Schlüssel" < 'ä4';""",
        r"""TRUNCATE one; INSERT INTO one VALUES (E'\xc3', E'\xc3', 1); UPDATE two SET v = E'\xf0\x9f';
           DELETE FROM "Größe" WHERE "Schlüssel" > 'ä4';""",
    ),
    single=("bytes.one", "bytes.two", "bytes.Größe"),
)
