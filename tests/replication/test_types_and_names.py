"""Every type, key, structure and name that a table may have: equal after the seed and after each kind of change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from lab.cluster import Cluster
from lab.database import Database
from lab.pair import Pair
from lab.people import ask_once
from sample.comparison import CompareMethod
from sample.comparison_result import SequenceComparison, TableComparison
from tests.replication import builtin_types, encodings, key_types, left_behind, structures, surroundings
from tests.replication.case import Case
from tests.replication.definitions import find_unlike, read_definitions
from tests.replication.played import Played, play
from tests.tier import MAJORS

CASES = (
    *builtin_types.CASES,
    *key_types.CASES,
    *structures.CASES,
    *surroundings.CASES,
    *left_behind.CASES,
    encodings.LATIN1,
    encodings.SQL_ASCII,
)
UTF8 = 'odd "name" ü'
LATIN1 = "Bytes"  # its slot must not be that of the other one
SQL_ASCII = "bytes"

# what changes how a value reads and is read, for all sessions that do not say how they want it
SETTINGS = "".join(
    f"""ALTER DATABASE "{UTF8.replace('"', '""')}" SET {setting};\n"""
    for setting in (
        "DateStyle TO 'SQL, DMY'",
        "IntervalStyle TO sql_standard",
        "TimeZone TO 'Asia/Kathmandu'",
        "bytea_output TO escape",
        "extra_float_digits TO -10",
        "search_path TO nowhere",
        "default_transaction_isolation TO serializable",
        "quote_all_identifiers TO on",
    )
)

# of a dump: our publication and guard, comments that tell oids, the random key of \\restrict
pytestmark = pytest.mark.timeout(240)


class Stage:
    """Three databases of different encodings on one pair, after a seed and three deltas."""

    def __init__(self, pair: Pair, databases: dict[str, Played]) -> None:
        self.pair = pair
        self.databases = databases

    def database_of(self, case: Case) -> Played:
        """Return the database that a case was played in."""
        return next(played for played in self.databases.values() if case in played.cases)

    def target_of(self, name: str) -> Database:
        """Return the copy of a database."""
        return Database(self.pair.secondary.cluster, name)


# Definitions are compared as text, and majors write some of them differently.
SAME_MAJOR = [(major, major) for major in MAJORS]


@pytest.fixture(scope="module", params=SAME_MAJOR, ids=lambda pair: f"pg{pair[0]}-pg{pair[1]}")
def stage(
    request: pytest.FixtureRequest,
    shared_cluster: Callable[[int, str], Cluster],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """Play all cases once for all tests."""
    source, target = shared_cluster(request.param[0], "source"), shared_cluster(request.param[1], "target")
    other = {encodings.LATIN1, encodings.SQL_ASCII}
    in_utf8 = [case for case in CASES if case not in other]
    made: list[Database] = []

    def database(name: str, encoding: str) -> Database:
        made.append(Database.create(source, name, options=f"ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"))
        return made[-1]

    try:
        databases = {
            UTF8: Played(database(UTF8, "UTF8"), in_utf8, preparation=key_types.MADE + SETTINGS),
            LATIN1: Played(database(LATIN1, "LATIN1"), [encodings.LATIN1]),
            # what is no text in any encoding cannot be sent as text: the servers hash it themselves
            SQL_ASCII: Played(database(SQL_ASCII, "SQL_ASCII"), [encodings.SQL_ASCII], method=CompareMethod.ROW_HASHES),
        }
        for played in databases.values():
            played.prepare()
        with Pair.create(tmp_path_factory.mktemp("pair"), source, target, databases=list(databases)) as pair:
            pair.start()
            play(pair, list(databases.values()))
            yield Stage(pair, databases)
    finally:
        for item in made:
            item.drop()
            Database(target, item.name).drop()


def test_every_built_in_type_is_among_the_cases(stage: Stage) -> None:
    """A type that a new major brings is not forgotten."""
    source = stage.databases[UTF8].source
    stored = source.psql("""
        SELECT t.typname FROM pg_type AS t
         WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype IN ('b', 'r', 'm')
           AND NOT EXISTS (SELECT FROM pg_type AS element WHERE element.typarray = t.oid)""")
    played = source.psql("""
        SELECT DISTINCT t.typname
          FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_type AS t ON t.oid = a.atttypid
         WHERE c.relname = 'every_type' AND a.attnum > 0""")
    assert set(stored.splitlines()) - builtin_types.WITHOUT_INPUT - set(played.splitlines()) == set()


def test_each_round_of_changes_came_by_a_delta(stage: Stage) -> None:
    """A seed in its place would make everything equal, and prove nothing."""
    kinds = {name: [step.component["kind"] for step in played.steps] for name, played in stage.databases.items()}
    assert kinds == {name: ["seed", "delta", "delta", "delta"] for name in stage.databases}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_sides_are_equal_after_each_sync(stage: Stage, case: Case) -> None:
    """The seed carries it, then inserts, updates, deletes, changes of key and truncates do."""
    played = stage.database_of(case)
    if case.name in played.left_out:
        pytest.skip(played.left_out[case.name])
    before: object = None
    for number, found in enumerate(played.found(case)):
        assert found, "nothing was compared"
        assert not [str(one) for one in found if not one.equal], f"after sync {number}"
        now = [content(one) for one in found]
        assert now != before, f"nothing changed before sync {number}"
        before = now


@pytest.mark.parametrize("case", [case for case in CASES if case.single], ids=lambda case: case.name)
def test_a_changed_row_travels_alone(stage: Stage, case: Case) -> None:
    """A table whose key cannot be read from the log would be equal too: copied whole each time."""
    played = stage.database_of(case)
    if case.name in played.left_out:
        pytest.skip(played.left_out[case.name])
    written = played.steps[1].component["rows_per_table"]
    assert {table: written.get(table) for table in case.single if written.get(table) not in (1, 2)} == {}


def test_tables_whose_names_read_the_same_are_told_apart(stage: Stage) -> None:
    """A table "b.c" in schema "a", a table "c" in schema "a.b"."""
    for table in ('a."b.c"', '"a.b".c'):
        query = f"SELECT * FROM {table} ORDER BY 1"
        assert stage.target_of(UTF8).psql(query) == stage.databases[UTF8].source.psql(query)


def test_what_a_delta_leaves_behind_is_named_in_plain_words(stage: Stage) -> None:
    """Just those, at each sync and in the status: nothing is skipped in silence, nothing is named for nothing."""
    expected = left_behind.expected_reasons()
    node = stage.pair.secondary
    status = ask_once(node.controller_url, node.token, "GET", "/v1/status").json()
    (in_status,) = [item["unkept"] for item in status["components"] if item["database"] == UTF8]
    told = [*(step.component["unkept"] for step in stage.databases[UTF8].steps), in_status]
    for unkept in told:
        reasons = {table["name"]: table["reason"] for table in unkept}
        assert sorted(reasons) == sorted(expected)
        assert {name: reasons[name] for name in expected if not re.search(expected[name], reasons[name])} == {}


def test_what_a_comparison_of_tables_does_not_see_came_too(stage: Stage) -> None:
    """Rows of views, large objects, rows without a column, definitions of what lies elsewhere."""
    queries = (
        'SELECT * FROM "left behind".counted, "left behind".counted_again',
        "SELECT relispopulated FROM pg_class WHERE relname = 'empty_view'",
        "SELECT oid, md5(lo_get(oid)), obj_description(oid, 'pg_largeobject') FROM pg_largeobject_metadata ORDER BY 1",
        'SELECT count(*) FROM "left behind".no_columns',
        "SELECT foreign_table_schema, foreign_table_name, foreign_server_name FROM information_schema.foreign_tables",
    )
    for query in queries:
        answer = stage.databases[UTF8].source.psql(query)
        assert answer
        assert stage.target_of(UTF8).psql(query) == answer


def test_definitions_are_the_same(stage: Stage) -> None:
    """As pg_dump writes them: constraints, indexes, triggers, rules, policies, rights, comments, publications."""
    for name, played in stage.databases.items():
        both = (played.source, stage.target_of(name))
        source, target = (read_definitions(each.cluster, each.dsn) for each in both)
        assert len(source) > 10
        assert find_unlike(source, target) == ""


def content(found: TableComparison | SequenceComparison) -> object:
    """Return what the source held."""
    return found.source_next if isinstance(found, SequenceComparison) else found.source_digest
