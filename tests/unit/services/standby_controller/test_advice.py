"""What an administrator is told: each advisory by the one fact that raises it, and none on a healthy pair."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.standby_controller.policy.advice import advise, data_age_limit_seconds, summarise
from services.standby_controller.policy.clock_offset import ClockOffset
from services.standby_controller.policy.detector import FailureKind
from services.standby_controller.policy.sights import ComponentSight, CopySight, PeerSight, Situation
from services.standby_controller.policy.sync_pace import SyncPace
from services.standby_controller.severity import Severity
from shared.node.model import State

OWN = PeerSight("b", is_own=True, is_lost=False, state=State.STANDBY, silent_seconds=0.1, is_database_healthy=True)
PEER = PeerSight("a", is_own=False, is_lost=False, state=State.ACTIVE, silent_seconds=0.1, is_database_healthy=True)
COMPONENT = ComponentSight("shop", data_age_seconds=60.0)
HEALTHY = Situation(
    own=OWN,
    peers=(PEER,),
    components=(COMPONENT,),
    interval_seconds=3600,
    is_schedule_enabled=True,
    offset_warning_seconds=1.0,
)
ACTIVE = replace(
    HEALTHY, own=replace(OWN, state=State.ACTIVE), peers=(replace(PEER, state=State.STANDBY),), takeover_seconds=1.0
)


def pace_of(p95: float, longest: float = 0.0, growth: float | None = None) -> SyncPace:
    return SyncPace(30, median_seconds=p95, p95_seconds=p95, longest_seconds=max(p95, longest), growth_per_week=growth)


SILENT = replace(PEER, state=None, is_lost=True, silent_seconds=200.0)


def _with_component(**changes: object) -> Situation:
    return replace(HEALTHY, components=(replace(COMPONENT, **changes),))  # type: ignore[arg-type]


def _with_peer(**changes: object) -> Situation:
    return replace(HEALTHY, peers=(replace(PEER, **changes),))  # type: ignore[arg-type]


def test_a_healthy_pair_needs_no_advice() -> None:
    """Advice that is always there is never read."""
    assert advise(HEALTHY) == ()


@pytest.mark.parametrize(
    ("situation", "code"),
    [
        (replace(HEALTHY, own=replace(OWN, state=None)), "own_agent_silent"),
        (replace(HEALTHY, peers=(SILENT,)), "peer_silent"),
        (_with_peer(state=None, is_refusing=True), "peer_refused_us"),
        (_with_peer(is_database_healthy=False), "database_down"),
        (_with_peer(broken_captures=("shop",)), "capture_broken"),
        (_with_peer(offset=ClockOffset(1.5, 1.6)), "clock_skew"),
        (_with_peer(offset=ClockOffset(-1.6, -1.5)), "clock_skew"),
        (_with_peer(is_clock_synchronised=False), "clock_unsynchronised"),
        (replace(HEALTHY, own=replace(OWN, is_clock_synchronised=False)), "clock_unsynchronised"),
        (_with_peer(state=State.WAITING), "no_active_node"),
        (replace(HEALTHY, own=replace(OWN, state=State.ACTIVE)), "two_active_nodes"),
        (_with_component(data_age_seconds=None), "never_seeded"),
        (_with_component(data_age_seconds=7201.0), "data_old"),
        (_with_component(unkept_count=3), "tables_not_kept"),
        (_with_component(difference_count=2), "copy_differs"),
        (_with_component(compared_ago_seconds=31 * 86400.0), "verification_old"),
        (replace(_with_component(compared_ago_seconds=91 * 86400.0), verification_days=30), "verification_old"),
        (replace(HEALTHY, is_schedule_enabled=False), "schedule_off"),
        (replace(HEALTHY, sync_failures_in_a_row=1), "sync_failing"),
        (replace(HEALTHY, sync_refusal="the source is empty"), "sync_refused"),
        (replace(HEALTHY, own=replace(OWN, is_closed=False)), "standby_open"),
        (replace(HEALTHY, own=replace(OWN, state=State.ACTIVE), peers=(SILENT,)), "standby_silent"),
        (replace(HEALTHY, peers=(replace(SILENT, kind=FailureKind.AGENT_DOWN),)), "peer_agent_down"),
        (replace(HEALTHY, peers=(replace(SILENT, kind=FailureKind.SELF_ISOLATED),)), "self_isolated"),
        (_with_peer(kind=FailureKind.APPLICATION_DOWN), "application_down"),
        (replace(HEALTHY, is_armed=False), "disarmed"),
        (replace(HEALTHY, is_in_maintenance=True), "maintenance"),
        (replace(HEALTHY, has_referee=False), "no_referee"),
        (replace(HEALTHY, pace=pace_of(p95=1801.0)), "syncs_fill_interval"),
        (replace(HEALTHY, pace=pace_of(p95=1700.0, longest=3300.0)), "little_idle_time"),
        (replace(HEALTHY, pace=pace_of(p95=1000.0, growth=0.25)), "syncs_grow"),
        (replace(HEALTHY, practised_ago_seconds=181 * 86400.0), "failover_untested"),
        (replace(HEALTHY, is_power_kept=False), "no_power_protection"),
        (_with_peer(disk_free_bytes=10**9, disk_floor_bytes=2**28), "disk_low"),
        (replace(HEALTHY, own=replace(OWN, disk_free_bytes=10**8, disk_floor_bytes=2**28)), "disk_low"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_fact_raises_its_advisory(situation: Situation, code: str) -> None:
    """One fact, one advisory, with words and a way out."""
    found = advise(situation)
    assert [advisory.code for advisory in found] == [code]
    assert found[0].text
    assert found[0].hint


@pytest.mark.parametrize(
    "situation",
    [
        _with_peer(offset=ClockOffset(-0.5, 4.0)),  # a wide interval is a slow network, not a wrong clock
        _with_component(data_age_seconds=7200.0),
        replace(HEALTHY, peers=(replace(PEER, state=None, silent_seconds=4.0),)),  # not lost yet
        replace(HEALTHY, has_referee=False, is_no_referee_acknowledged=True),
        replace(HEALTHY, pace=pace_of(p95=1800.0, longest=3240.0, growth=0.09)),
        replace(HEALTHY, pace=pace_of(p95=10.0, growth=0.2)),  # in years
        replace(HEALTHY, practised_ago_seconds=180 * 86400.0, is_power_kept=True),
        _with_peer(disk_free_bytes=2**30, disk_floor_bytes=2**28),
        replace(HEALTHY, has_referee=False, is_armed=False, is_policy_promote=False),  # nothing happens by itself
    ],
)
def test_below_a_limit_nothing_is_said(situation: Situation) -> None:
    """The limits themselves are still fine."""
    assert advise(situation) == ()


def test_the_most_important_comes_first() -> None:
    """People read the first line."""
    situation = replace(_with_component(unkept_count=1, data_age_seconds=1e6), is_schedule_enabled=False)
    assert [advisory.severity.value for advisory in advise(situation)] == ["critical", "warning", "warning"]


@pytest.mark.parametrize(("interval", "limit"), [(5, 7200.0), (3600, 7200.0), (7200, 14400.0)])
def test_data_is_old_after_two_intervals(interval: float, limit: float) -> None:
    """But never sooner than two hours."""
    assert data_age_limit_seconds(interval) == limit


@pytest.mark.parametrize(
    ("situation", "words"),
    [
        (
            replace(HEALTHY, worst_case_detection_seconds=18.0, takeover_seconds=1.0),
            "lost; b would serve after 19 s at",
        ),
        (replace(HEALTHY, is_armed=False), "last 60 s of changes would be lost, and nobody would take over by itself"),
        (replace(ACTIVE, copies=(CopySight("a", 300.0), CopySight("c", 90.0))), "the last 90 s"),
        (replace(ACTIVE, copies=(CopySight("a", None),)), "nothing is known of a copy"),
        (_with_component(data_age_seconds=37 * 60.0), "last 37 min of changes"),
        (_with_component(data_age_seconds=None), "Nothing was copied yet of shop"),
        (replace(HEALTHY, own=replace(OWN, state=State.ACTIVE), peers=(SILENT,)), "no standby answers"),
        (replace(HEALTHY, own=replace(OWN, state=None)), "nothing can be said"),
        (replace(HEALTHY, own=replace(OWN, state=State.FENCED)), "holds no copy"),
    ],
)
def test_the_summary_says_what_a_loss_would_cost(situation: Situation, words: str) -> None:
    """In one sentence for people."""
    assert words in summarise(situation)


@pytest.mark.parametrize(
    ("own", "peer", "words", "where"),
    [
        (True, False, "the clock of node a is wrong", "on node a"),
        (False, True, "this node's clock is wrong", "on this node"),
        (False, False, "either clock may be wrong", "on both nodes"),
        (True, True, "follow different time servers", "on both nodes, with the same time servers"),
        (None, False, "is not known", "on both nodes"),
    ],
)
def test_the_wrong_clock_is_named(own: bool | None, peer: bool | None, words: str, where: str) -> None:
    """Where the kernels' words tell which it is."""
    situation = replace(
        _with_peer(offset=ClockOffset(-3.02, -2.98), is_clock_synchronised=peer),
        own=replace(OWN, is_clock_synchronised=own),
    )
    (skew, *_) = [advisory for advisory in advise(situation) if advisory.code == "clock_skew"]
    assert "a is 3.0 s behind this node's, give or take 20.0 ms" in skew.text
    assert words in skew.text
    assert skew.hint == f"Set up time synchronisation (chrony or systemd-timesyncd) {where}."


@pytest.mark.parametrize(
    ("seconds", "is_holding", "severity", "is_said_held"),
    [
        (10.0, True, Severity.WARNING, False),
        (10.5, False, Severity.CRITICAL, False),
        (10.5, True, Severity.CRITICAL, True),
    ],
)
def test_over_the_limit_skew_is_critical(
    seconds: float, is_holding: bool, severity: Severity, is_said_held: bool
) -> None:
    """And it is said where syncs are held for it."""
    situation = replace(_with_peer(offset=ClockOffset(seconds, seconds)), is_holding_for_skew=is_holding)
    (skew,) = advise(situation)
    assert skew.severity is severity
    assert ("Syncs are held" in skew.hint) is is_said_held
