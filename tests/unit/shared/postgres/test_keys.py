"""The SQL that reads captured keys, as text; what it does on a server is tried in tests/integration."""

from __future__ import annotations

import pytest

from shared.postgres.keys import write_key_match, write_key_selection


def strip(statement: str) -> list[str]:
    """Return the lines without the comments that queries keep."""
    lines = [line.partition("--")[0].strip() for line in statement.splitlines()]
    return [line for line in lines if line]


def test_each_column_is_compared_by_the_operator_of_its_index() -> None:
    """Equality may live in a schema of the application, and no name may break out of its quotes."""
    match = write_key_match(["id", 'a"b'], ["OPERATOR(pg_catalog.=)", "OPERATOR(public.=)"], table="t", keys="k")
    assert strip(match) == ['t."id" OPERATOR(pg_catalog.=) k.k1 AND', 't."a""b" OPERATOR(public.=) k.k2']


def test_a_column_without_an_operator_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        write_key_match(["a", "b"], ["OPERATOR(pg_catalog.=)"], table="t", keys="k")


@pytest.mark.parametrize(
    "types", [["integer"], ["integer", "text"], ["integer", "text", "numeric(10,2)", "public.mood"]]
)
def test_each_value_is_read_as_its_type(types: list[str]) -> None:
    """The collation of the encoding's name does not become the value's."""
    selection = "\n".join(strip(write_key_selection("pg_temp.keys", types, "LATIN1")))
    for place, type_name in enumerate(types, start=1):
        assert f'COLLATE "default")::{type_name} AS k{place}' in selection
    assert f"k{len(types) + 1}" not in selection
    assert selection.count("'LATIN1'") == len(types)
