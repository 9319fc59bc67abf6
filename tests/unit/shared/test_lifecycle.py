"""Siblings end together, a signal stops them gracefully, and the periodic runner survives what is expected."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time

import pytest

from shared.errors import DatabaseUnreachable
from shared.lifecycle import Sibling, SiblingEnded, run_every, run_siblings


class Rounds:
    """An action that fails as told and stops the loop when its plan is over."""

    def __init__(self, *plan: Exception | None) -> None:
        self.plan = list(plan)
        self.starts: list[float] = []

    async def __call__(self) -> None:
        self.starts.append(time.monotonic())
        if not self.plan:
            raise LookupError("the plan is over")
        if (error := self.plan.pop(0)) is not None:
            raise error


async def sleep_for_ever() -> None:
    await asyncio.Event().wait()


async def test_expected_trouble_is_logged_once_for_each_change(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    down, other = DatabaseUnreachable("down"), DatabaseUnreachable("otherwise down")
    with pytest.raises(LookupError):
        await run_every(0, Rounds(down, down, other, other, None, None, down), name="look")
    messages = [record.message for record in caplog.records]
    assert messages == ["loop in trouble", "loop in trouble", "loop well again", "loop in trouble"]


async def test_the_unexpected_ends_the_loop() -> None:
    with pytest.raises(ZeroDivisionError):
        await run_every(0, Rounds(ZeroDivisionError()), name="look")


async def test_rounds_are_counted_from_start_to_start() -> None:
    """A slow action does not add to the pause."""
    starts: list[float] = []

    async def slow() -> None:
        starts.append(time.monotonic())
        await asyncio.sleep(0.08)
        if len(starts) == 4:
            raise LookupError

    with pytest.raises(LookupError):
        await run_every(0.1, slow, name="slow")
    assert starts[3] - starts[0] < 0.45


async def test_a_loop_can_be_woken() -> None:
    wake, rounds = asyncio.Event(), Rounds(None)
    wake.set()
    with pytest.raises(LookupError):
        await asyncio.wait_for(run_every(3600, rounds, name="rare", wake=wake), 5)
    assert not wake.is_set()


async def test_one_dead_sibling_ends_all() -> None:
    ended = []

    async def lives() -> None:
        try:
            await sleep_for_ever()
        finally:
            ended.append("lives")

    with pytest.raises(ExceptionGroup) as caught:
        await run_siblings([Sibling("lives", lives), Sibling("dies", Rounds())])
    assert caught.group_contains(LookupError)
    assert ended == ["lives"]


async def test_a_sibling_that_returns_is_dead_too() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await run_siblings([Sibling("returns", Rounds(None)), Sibling("lives", sleep_for_ever)])
    assert caught.group_contains(SiblingEnded)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_last_sibling_first(number: signal.Signals) -> None:
    """Servers come after the loops that their open requests need."""
    ended = []

    async def run(name: str) -> None:
        try:
            await sleep_for_ever()
        finally:
            await asyncio.sleep(0.02 if name == "server" else 0)
            ended.append(name)

    asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), number)
    await run_siblings([Sibling("loop", lambda: run("loop")), Sibling("server", lambda: run("server"))])
    assert ended == ["server", "loop"]
