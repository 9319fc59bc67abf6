"""Whatever an application does to its definitions and rows, in whatever order: each sync makes the copy equal."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Final

import hypothesis
import pytest

from lab.cluster import Cluster
from tests.replication.random_definitions import BASE, Shrinking, Tally, play
from tests.replication.random_steps import Step, programs
from tests.replication.random_tables import PERSON
from tests.replication.world import Place
from tests.tier import on_newest_major, rounds

pytestmark = on_newest_major

PROGRAMS: Final = rounds(3, 40)
ALWAYS_THE_SAME: Final = 20261123
"""The seed of the normal tier: it holds what is known to hold; the long one looks for more, by the run's own chance."""
STEPS: Final = rounds(50, 200)
SEEDS_AT_MOST: Final = 0.2


@pytest.mark.timeout(7200)
def test_after_each_sync_of_a_random_program_the_copy_is_the_source(
    clusters: tuple[Cluster, Cluster], random_seed: int, tmp_path: Path
) -> None:
    """Few of them need a full copy for it."""
    source, target = clusters
    for cluster in clusters:
        cluster.psql(f"CREATE ROLE {PERSON}")
    tally, shrinking, numbers = Tally(), Shrinking(), itertools.count()

    @hypothesis.seed(rounds(ALWAYS_THE_SAME, random_seed))
    @hypothesis.settings(
        max_examples=PROGRAMS + 1,  # the first one is always empty
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(steps=programs(STEPS))
    def every_program_ends_well(steps: tuple[Step, ...]) -> None:
        if not steps or shrinking.is_over_for(steps):
            return
        place = Place.create(source, tmp_path / str(next(numbers)), BASE, target=target)
        try:
            asyncio.run(play(place, steps, tally))
        except BaseException:
            shrinking.note_failure(steps)
            raise
        finally:
            place.remove()

    every_program_ends_well()
    print(tally)
    assert len(tally.seeds) <= SEEDS_AT_MOST * (len(tally.seeds) + tally.deltas), tally.seeds
