"""Gives keys that differ to the active node, which ships them with the next delta as if it had just changed them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from services.standby_controller.verify.comparing import MayGive, TakeKeys
from services.standby_controller.verify.model import Difference
from shared.node.client import NodeClient
from shared.replication.model import TableName
from shared.replication.verification import HeldTable

_MOST_SHARE: Final = 0.3
"""Share of a table's rows from which it comes whole instead of by keys."""
_FEW_ROWS: Final = 1000


def put_keys(client: NodeClient, component: str, table: HeldTable) -> MayGive:
    """Return where the keys of a table go; nowhere, where its changes are not told by keys or most rows differ."""

    async def put(chunks: AsyncIterator[bytes]) -> None:
        types = {column.name: column.type for column in table.columns}
        name = TableName(schema_name=table.schema_name, name=table.name)
        await client.put_divergent_keys(component, name, [(column, types[column]) for column in table.key], chunks)

    def may_give(difference: Difference) -> TakeKeys | None:
        return put if table.is_followed and not _is_most(difference) else None

    return may_give


def _is_most(difference: Difference) -> bool:
    counted = [count or 0 for count in (difference.missing, difference.extra, difference.changed)]
    return sum(counted) > _MOST_SHARE * max(difference.rows_there or 0, difference.rows_here or 0, _FEW_ROWS)
