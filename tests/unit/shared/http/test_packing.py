"""Gzip on the wire: what comes out is what went in, in small blocks, or it is said that it is not."""

from __future__ import annotations

import gzip
import random
from collections.abc import AsyncIterator

import pytest

from shared.http.packing import BLOCK_BYTES, Damaged, Packer, unpack


async def in_chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for begin in range(0, len(data), size):
        yield data[begin : begin + size]


async def packed(blocks: list[bytes]) -> bytes:
    packer = Packer()
    return b"".join([await packer.pack(block) for block in blocks]) + packer.finish()


@pytest.mark.parametrize("size", [1, 1000, 10**9])
@pytest.mark.parametrize(
    "blocks",
    [[], [b"one row\n"], [bytes(BLOCK_BYTES)] * 3, [random.Random(1).randbytes(2000), b"1\tx\n" * 99_999]],
    ids=["nothing", "a row", "zeros", "noise and rows"],
)
async def test_what_comes_out_went_in(blocks: list[bytes], size: int) -> None:
    wire = await packed(blocks)
    assert b"".join([block async for block in unpack(in_chunks(wire, size))]) == b"".join(blocks)
    assert gzip.decompress(wire) == b"".join(blocks)


async def test_what_shrank_a_thousandfold_comes_in_small_blocks() -> None:
    wire = gzip.compress(bytes(64 * BLOCK_BYTES))
    assert len(wire) < BLOCK_BYTES
    sizes = [len(block) async for block in unpack(in_chunks(wire, len(wire)))]
    assert sum(sizes) == 64 * BLOCK_BYTES
    assert max(sizes) <= BLOCK_BYTES


@pytest.mark.parametrize(
    "damage",
    [lambda wire: wire[:-1], lambda wire: b"", lambda wire: b"x" + wire, lambda wire: wire + b"x"],
    ids=["cut", "empty", "no gzip", "longer"],
)
async def test_damage_is_told(damage: object) -> None:
    assert callable(damage)
    wire = damage(gzip.compress(b"rows\n" * 1000))
    with pytest.raises(Damaged):
        _ = [block async for block in unpack(in_chunks(wire, 100))]
