"""An export is kept open while nothing flows, given up when the other node is gone, and left alone once closed."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace
from typing import cast

import pytest

from services.standby_controller.apply.held_export import HeldExport, hold
from shared.errors import PeerError, PeerRefusal, PeerUnreachable
from shared.node.client import NodeClient
from shared.replication.model import Manifest

SILENT = PeerUnreachable("no answer within 3 s")
GONE = PeerRefusal("this export is not open (any more)", peer_code="export_gone", peer_status=404)


class Peer:
    """The other node: it answers for its export, until it does not."""

    def __init__(self) -> None:
        self.error: PeerError | None = None
        self.asked = 0
        self.closed = 0

    async def export(self, export_id: str) -> None:
        assert export_id == "e1"
        self.asked += 1
        if self.error is not None:
            raise self.error

    async def close_export(self, export_id: str) -> None:
        assert export_id == "e1"
        self.closed += 1
        if self.error is not None:
            raise self.error


def held(peer: Peer) -> AbstractAsyncContextManager[HeldExport]:
    manifest = cast("Manifest", SimpleNamespace(export_id="e1"))
    return hold(cast("NodeClient", peer), manifest, ask_seconds=0.01, patience_seconds=0.1)


async def test_it_is_asked_for_while_it_is_held() -> None:
    peer = Peer()
    async with held(peer):
        await asyncio.sleep(0.3)
        assert peer.closed == 0
    assert (peer.asked > 3, peer.closed) == (True, 1)


async def test_a_node_that_answers_no_more_ends_the_reading() -> None:
    peer = Peer()
    peer.error = SILENT
    with pytest.raises(PeerUnreachable, match="no answer within 3 s"):
        async with held(peer), asyncio.timeout(30):
            await asyncio.sleep(60)


async def test_a_short_silence_ends_nothing() -> None:
    peer = Peer()
    async with held(peer):
        for error in (SILENT, None) * 5:
            peer.error = error
            await asyncio.sleep(0.03)


async def test_one_that_is_gone_is_told_by_its_streams() -> None:
    peer = Peer()
    async with held(peer):
        peer.error = GONE
        await asyncio.sleep(0.2)
    assert peer.asked < 3


async def test_once_closed_the_other_node_may_go() -> None:
    """What has arrived is applied, whatever becomes of the node it came from."""
    peer = Peer()
    async with held(peer) as export:
        await export.close()
        peer.error = SILENT
        await asyncio.sleep(0.3)
    assert peer.asked <= 1


async def test_errors_of_the_reading_stay_what_they_are() -> None:
    for error in (ValueError("mine"), TimeoutError("mine too")):
        with pytest.raises(type(error), match="mine"):
            async with held(Peer()):
                raise error
