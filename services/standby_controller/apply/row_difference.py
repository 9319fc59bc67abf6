"""A compared table brought to the source's rows by writing only what differs: rows that are the same stay untouched.

Rows are told by two hashes of their text, each as often as it is there; the same text that the digests are made of.
"""

from __future__ import annotations

from typing import Final

from services.standby_controller.apply.indexes import build_again, lay_aside
from services.standby_controller.apply.merge import BULK_ROWS, write_insert
from services.standby_controller.apply.staging import StagedTable
from shared.postgres.digest import write_row_text
from shared.postgres.queries import load_queries, quote_identifier
from shared.postgres.sessions import Session

_QUERIES: Final = load_queries("services.standby_controller.apply", "uncaptured.sql")
_TARGET: Final = load_queries("services.standby_controller.apply", "target.sql")
_MOST: Final = 0.5
"""Share of the rows from which all of them are written anew, and the indexes after them."""


async def place_difference(session: Session, table: StagedTable) -> int:
    """Delete the rows that the source has not, insert those that it has more of; return how many, in a transaction."""
    names = {
        "table": table.sql_name,
        "rows": table.rows_table,
        "difference": f"difference_{table.source.number}",
        "row": write_row_text(table.source.columns),
        "columns": ", ".join(f"t.{quote_identifier(column.name)}" for column in table.source.columns),
        "listed": _list_columns(table),
    }
    await session.execute(_QUERIES["find_difference"].format(**names))
    found = await session.fetchrow(_QUERIES["count_difference"].format(**names))
    assert found is not None
    deleted, inserted = int(found["deleted"]), int(found["inserted"])
    if inserted >= BULK_ROWS and inserted >= _MOST * table.rows:
        indexes = await lay_aside(session, table.sql_name, table.plain_indexes)
        gone = await session.execute(_TARGET["delete_all"].format(table=table.sql_name))
        await session.execute(write_insert(table))
        await build_again(session, indexes)
        return int(gone.rsplit(maxsplit=1)[-1]) + table.rows
    for query in ("delete_difference", "insert_difference"):
        await session.execute(_QUERIES[query].format(**names))
    return deleted + inserted


def _list_columns(table: StagedTable) -> str:
    columns = ", ".join(quote_identifier(column.name) for column in table.source.columns)
    return f"({columns})" if columns else ""
