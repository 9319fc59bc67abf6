"""How much a run does (a few minutes, or ``./test --all``), and the chance it runs on, which can be repeated."""

from __future__ import annotations

import os
import random
from typing import Final, TypeVar

import pytest

Amount = TypeVar("Amount")

IS_FULL: Final = os.environ.get("WARMSTANDBY_TEST_TIER", "normal") == "all"
MAJORS: Final = (15, 16, 17, 18) if IS_FULL else (15, 18)
SEED: Final = int(os.environ.get("WARMSTANDBY_TEST_SEED") or random.SystemRandom().randrange(2**31))
os.environ["WARMSTANDBY_TEST_SEED"] = str(SEED)  # the processes among which a run is divided have one chance


def rounds(normal: Amount, full: Amount) -> Amount:
    """Choose by the tier: a number of rounds, a size, a list of cases."""
    return full if IS_FULL else normal


# For what takes long and seldom changes.
in_full_tier: Final = pytest.mark.skipif(not IS_FULL, reason="takes long: ./test --all")

# For a whole file: the newest major, and all of them in the full tier.
on_newest_major: Final = pytest.mark.parametrize(
    "major", rounds(MAJORS[-1:], MAJORS), indirect=True, scope="session", ids=lambda major: f"pg{major}"
)


def seed_of(test: str) -> int:
    """Return the seed of one test (its node id), the same in each run with the same ``WARMSTANDBY_TEST_SEED``."""
    return random.Random(f"{SEED} {test}").randrange(2**31)
