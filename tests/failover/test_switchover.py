"""A planned swap: nothing is lost, writes stop for a moment, and it works to and fro."""

from __future__ import annotations

import asyncio

from lab.ledger import longest_gap_seconds, places_in_order
from tests.failover.conftest import Open


async def test_roles_swap_under_load_without_loss(open_pair: Open) -> None:
    """F47: every acknowledged write is on the other side; the former active node follows by itself."""
    async with open_pair() as stage:
        async with stage.writing() as client:
            await asyncio.sleep(1)
            change = await stage.change(stage.secondary, "/v1/switchover", {"reason": "test"})
            assert change["failure"] is None, change
            await stage.becomes(stage.secondary, "active")
            await stage.becomes(stage.primary, "standby")
            await asyncio.sleep(1)
        assert places_in_order(stage.accepted) == ["primary", "secondary"]
        acknowledged = {(write.writer, write.number) for write in stage.accepted}
        assert acknowledged <= stage.rows(stage.secondary)
        print(f"gap {longest_gap_seconds(client.accepted):.2f} s, {change['write_gap_seconds']:.2f} s by itself")
        print(change["seconds_per_phase"])
        await stage.is_protected_after_sync(stage.primary)
        stage.check_equal()
        back = await stage.change(stage.primary, "/v1/switchover", {"reason": "back"})
        assert back["failure"] is None, back
        await stage.becomes(stage.primary, "active")
        await stage.becomes(stage.secondary, "standby")
