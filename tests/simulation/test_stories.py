"""Seeded stories: the agents' own code on hosts that die, over a network that fails, in virtual time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

import pytest

from tests.simulation.story import tell_story
from tests.tier import rounds, seed_of

STORIES: Final = rounds(2000, 20_000)
PARTS: Final = 10


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What the agents log of a thousand deaths would take longer than they do."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.timeout(3600)
def test_every_story_ends_with_one_serving_node_and_nothing_lost(part: int, request: pytest.FixtureRequest) -> None:
    first = seed_of(request.node.nodeid)
    for seed in range(first, first + STORIES // PARTS):
        tell_story(seed)


def test_a_node_that_is_forced_before_its_start_is_judged_is_not_stranded() -> None:
    """The boot counted against an attempt that was begun after it: the node waited in no term, for ever."""
    tell_story(1284307187)


def test_a_story_can_be_told_again() -> None:
    assert tell_story(4).log == tell_story(4).log
