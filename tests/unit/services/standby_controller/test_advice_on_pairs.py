"""What is told of two nodes side by side: releases, machines and certificates, with figures, and when it goes away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.standby_controller.policy.advice import advise
from services.standby_controller.policy.sights import Advisory, PeerSight, Situation
from services.standby_controller.severity import Severity
from shared.node.model import DiskSize, Resources, State, Versions

GIB = 2**30
DAY = 86400.0
OWN = PeerSight("b", is_own=True, is_lost=False, state=State.STANDBY, silent_seconds=0.1, is_database_healthy=True)
PEER = PeerSight("a", is_own=False, is_lost=False, state=State.ACTIVE, silent_seconds=0.1, is_database_healthy=True)
HEALTHY = Situation(
    own=OWN, peers=(PEER,), components=(), interval_seconds=3600, is_schedule_enabled=True, offset_warning_seconds=1.0
)
VERSIONS = Versions(warmstandby="1.2.0", python="3.11.2", postgres="15.4")
BIG = Resources(
    cpu_count=8,
    memory_bytes=32 * GIB,
    disks=(
        DiskSize(folder="state_dir", total_bytes=100 * GIB, free_bytes=GIB),
        DiskSize(folder="data_dir", total_bytes=500 * GIB, free_bytes=GIB),
    ),
)


def _told(situation: Situation, code: str) -> Advisory | None:
    found = [advisory for advisory in advise(situation) if advisory.code == code]
    assert len(found) <= 1
    return found[0] if found else None


def _with(own: PeerSight, peer: PeerSight) -> Situation:
    return replace(HEALTHY, own=own, peers=(peer,))


@pytest.mark.parametrize(
    ("changes", "severity", "words"),
    [
        ({"warmstandby": "1.3.0"}, Severity.WARNING, "Warmstandby 1.3.0 (here 1.2.0)"),
        ({"postgres": "16.1"}, Severity.WARNING, "PostgreSQL 16.1 (here 15.4)"),
        ({"postgres": "15.6"}, Severity.INFO, "PostgreSQL 15.6 (here 15.4)"),
        ({"python": "3.12.1"}, Severity.INFO, "Python 3.12.1 (here 3.11.2)"),
        ({"postgres": "15.6", "warmstandby": "2"}, Severity.WARNING, "Warmstandby 2 (here 1.2.0), PostgreSQL 15.6"),
        ({}, None, ""),
        ({"postgres": None}, None, ""),  # its server is down, which is told elsewhere
    ],
)
def test_other_releases_are_told(changes: dict[str, str | None], severity: Severity | None, words: str) -> None:
    """It matters where a takeover could fail by it."""
    peer = replace(PEER, versions=VERSIONS.model_copy(update=changes))
    advisory = _told(_with(replace(OWN, versions=VERSIONS), peer), "different_versions")
    assert (advisory and advisory.severity) == severity
    if advisory is not None:
        assert words in advisory.text
    assert _told(_with(OWN, peer), "different_versions") is None  # the own agent has not answered yet


@pytest.mark.parametrize(
    ("own", "peer", "words"),
    [
        ({"mdm"}, {"mdm", "papers"}, "node b has no papers."),
        ({"mdm", "papers", "logs"}, {"mdm"}, "node a has no logs and no papers."),
        ({"mdm", "one"}, {"mdm", "two"}, "node b has no two; node a has no one."),
        ({"mdm"}, {"mdm"}, None),
        ({"mdm"}, None, None),
        (None, {"mdm"}, None),
    ],
)
def test_what_only_one_node_replicates_is_told(own: set[str] | None, peer: set[str] | None, words: str | None) -> None:
    """It is nowhere else after a takeover; a node that says nothing is not judged."""
    nodes = [
        replace(node, components=None if names is None else frozenset(names))
        for node, names in ((OWN, own), (PEER, peer))
    ]
    advisory = _told(_with(*nodes), "different_components")
    assert (advisory is None) is (words is None)
    if advisory is not None and words is not None:
        assert advisory.text.endswith(words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cpu_count": 6}, "6 CPUs instead of 8"),
        ({"memory_bytes": 25 * GIB}, "25.0 GiB of memory instead of 32.0 GiB"),
        (
            {"disks": (DiskSize(folder="data_dir", total_bytes=399 * GIB, free_bytes=0),)},
            "399.0 GiB on the disk of PostgreSQL's data instead of 500.0 GiB",
        ),
        ({"cpu_count": 7}, None),
        ({"memory_bytes": 26 * GIB}, None),
        ({"cpu_count": None, "memory_bytes": None, "disks": ()}, None),
        ({"cpu_count": 80}, None),
    ],
)
def test_a_standby_with_less_than_the_active_node_is_told(changes: dict[str, object], words: str | None) -> None:
    """Under 80 %, on whichever node that is seen; the other way round it is fine."""
    small = BIG.model_copy(update=changes)
    for own, peer, subject in (
        (replace(OWN, resources=small), replace(PEER, resources=BIG), "b"),
        (
            replace(OWN, resources=BIG, state=State.ACTIVE),
            replace(PEER, resources=small, state=State.STANDBY),
            "a",
        ),
    ):
        advisory = _told(_with(own, peer), "different_resources")
        assert (advisory is not None) is (words is not None)
        if advisory is not None and words is not None:
            assert (advisory.subject, advisory.severity) == (subject, Severity.INFO)
            assert words in advisory.text
    swapped = _with(replace(OWN, resources=BIG), replace(PEER, resources=small))
    if words is not None:
        assert _told(swapped, "different_resources") is None


@pytest.mark.parametrize(
    ("days", "severity", "words"),
    [
        (21.0, None, ""),
        (20.9, Severity.WARNING, "expires in 20.9 days"),
        (3.0, Severity.WARNING, "expires in 3.0 days"),
        (2.9, Severity.CRITICAL, "expires in 2.9 days"),
        (-1.0, Severity.CRITICAL, "expired 1.0 days ago"),
        (None, None, ""),
    ],
)
def test_a_certificate_that_expires_is_told_in_time(days: float | None, severity: Severity | None, words: str) -> None:
    """Three weeks before, and loudly in the last days; without TLS there is nothing to say."""
    peer = replace(PEER, certificate_seconds_left=None if days is None else days * DAY)
    advisory = _told(_with(OWN, peer), "certificate_expiring")
    assert (advisory and advisory.severity) == severity
    if advisory is not None:
        assert words in advisory.text
