"""What a case of these tests is: tables of a kind, and what an application does to them between syncs. Values only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sample.snapshot_reader import quote, quote_literal

ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of table in schemas of its own; ``rounds`` are the statements before each of the three deltas.

    ``single`` names tables (``schema.table``) of which the first round changes one row of at least four: a delta that
    ships them whole is seen. ``since`` is the first major of the source that knows the kind, ``needs`` an extension, or
    ``icu``.
    """

    name: str
    setup: str
    rounds: tuple[str, str, str]
    single: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    since: int = 15
    needs: str | None = None

    @property
    def all_schemas(self) -> tuple[str, ...]:
        """The schemas whose tables are compared for this case."""
        return self.schemas or (self.name,)

    def script(self, statements: str) -> str:
        """Wrap statements so that names without a schema are in the case's first one."""
        path = f"SET search_path = {quote(self.all_schemas[0])}, public;\n"
        return f"{path}{statements}\n"

    def setup_script(self) -> str:
        """Make the schemas, then what is in them."""
        made = "".join(f"CREATE SCHEMA {quote(schema)};\n" for schema in self.all_schemas)
        return made + self.script(self.setup)


@dataclass(frozen=True, slots=True)
class Values:
    """A type as a column declares it, and texts of it."""

    type: str
    texts: tuple[str, ...]

    def at(self, place: int) -> str:
        """Return a value as SQL; the list is used round and round."""
        return self.literal(self.texts[place % len(self.texts)])

    def literal(self, text: str) -> str:
        """Return one text of the type as SQL."""
        return f"{quote_literal(text)}::{self.type}"

    def array_at(self, place: int) -> str:
        """Return an array as SQL: empty, with a NULL, of two dimensions, in turn."""
        first, second = self.at(place), self.at(place + 1)
        forms = ("", f"{first}, NULL, {second}", f"[{first}, {second}], [{second}, {first}]")
        return f"ARRAY[{forms[place % 3]}]::{self.type}[]"


def values_case(name: str, values: Sequence[Values], *, setup: str = "", needs: str | None = None) -> Case:
    """Make a table with a column and an array column of each type, its key at the end."""
    columns = [f"v{n} {v.type}, a{n} {v.type}[]" for n, v in enumerate(values)]
    count = max(4, *(len(v.texts) for v in values))
    names = ", ".join(f"v{n}, a{n}" for n in range(len(values)))

    def rows(first_id: int, shift: int) -> str:
        lines = (
            ", ".join(f"{v.at(row + shift)}, {v.array_at(row + shift)}" for v in values) + f", {first_id + row}"
            for row in range(count)
        )
        return f"INSERT INTO every_type ({names}, id) VALUES " + ",\n".join(f"({line})" for line in lines) + ";"

    nothing = ", ".join(["NULL"] * 2 * len(values))
    return Case(
        name=name,
        setup=f"{setup}\nCREATE TABLE every_type ({', '.join(columns)}, id int PRIMARY KEY);\n{rows(1, 0)}",
        rounds=(
            f"UPDATE every_type SET ({names}) = (SELECT {names} FROM every_type WHERE id = 2) WHERE id = 1;",
            f"""{rows(101, 1)} UPDATE every_type SET id = -id WHERE id = 2; DELETE FROM every_type WHERE id = 3;
                UPDATE every_type SET ({names}) = ROW({nothing}) WHERE id = 4;""",
            f"TRUNCATE every_type; {rows(1, 2)} UPDATE every_type SET v0 = NULL WHERE id = 1;",
        ),
        single=(f"{name}.every_type",),
        needs=needs,
    )


def key_case(
    name: str, values: Values, *, setup: str = "", respell: Iterable[tuple[str, str]] = (), needs: str | None = None
) -> Case:
    """Make a table with a key of a type, the key in the middle; at least six texts, none equal to another.

    ``respell`` are texts that the key's type holds equal to another: they replace the other.
    """
    key = [values.literal(text) for text in values.texts]
    respelled = "".join(
        f"UPDATE keyed SET k = {values.literal(new)} WHERE k = {values.literal(old)};\n" for old, new in respell
    )
    seed = ", ".join(f"('seed {place}', {text}, {place})" for place, text in enumerate(key[:-2]))
    return Case(
        name=name,
        setup=f"{setup}\nCREATE TABLE keyed (note text, k {values.type} PRIMARY KEY, n int);\n"
        f"INSERT INTO keyed VALUES {seed};",
        rounds=(
            f"UPDATE keyed SET n = n + 100 WHERE k = {key[0]};",
            f"""INSERT INTO keyed VALUES ('new', {key[-1]}, 0);
                DELETE FROM keyed WHERE k = {key[1]};
                UPDATE keyed SET k = {key[-2]}, n = n + 1 WHERE k = {key[2]};
                BEGIN;
                UPDATE keyed SET k = {key[1]} WHERE k = {key[0]};
                UPDATE keyed SET k = {key[0]} WHERE k = {key[3]};
                UPDATE keyed SET k = {key[3]} WHERE k = {key[1]};
                COMMIT;
                {respelled}""",
            f"""TRUNCATE keyed;
                INSERT INTO keyed VALUES ('again', {key[0]}, 1), ('again', {key[2]}, 2);
                DELETE FROM keyed WHERE k = {key[2]};
                INSERT INTO keyed VALUES ('again', {key[-1]}, 3);""",
        ),
        single=(f"{name}.keyed",),
        needs=needs,
    )
