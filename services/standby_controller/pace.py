"""How often nodes are looked at, and by which limits clocks are judged: from node.toml and the pair's configuration."""

from __future__ import annotations

from services.standby_controller.pair_document import PairDocument
from services.standby_controller.pair_groups import ClockSkewPolicy
from services.standby_controller.policy.clock_offset import ClockLimits
from services.standby_controller.policy.detector import Pace
from shared.errors import ConfigRefused
from shared.settings import Settings


def pace_of(settings: Settings, document: PairDocument) -> Pace:
    """Return the pace of the looks at peers; a re-check never comes later than the next look would."""
    interval, failover = settings.controller.heartbeat_seconds, document.failover
    return Pace(
        interval_seconds=interval,
        timeout_seconds=settings.controller.heartbeat_timeout_seconds,
        recheck_seconds=min(failover.recheck_seconds, interval),
        failures=failover.failures,
    )


def clock_limits_of(document: PairDocument) -> ClockLimits:
    """Return what the pair's configuration says of skew."""
    monitor = document.monitor
    return ClockLimits(
        warning_seconds=monitor.offset_warning_seconds,
        limit_seconds=monitor.offset_limit_seconds,
        is_holding=monitor.clock_skew_policy is ClockSkewPolicy.HOLD_SYNCS,
    )


def fact_limit_seconds(settings: Settings) -> float:
    """Return the age above which a fact of a heartbeat is unknown; both nodes look at their databases alike."""
    interval = max(settings.controller.heartbeat_seconds, settings.agent.heartbeat_seconds)
    return Pace(interval, settings.controller.heartbeat_timeout_seconds, interval, 1).fact_limit_seconds


def check_pace(settings: Settings, before: PairDocument, after: PairDocument) -> None:
    """Raise ConfigRefused for a change to a re-check that would come later than the next look."""
    recheck, interval = after.failover.recheck_seconds, settings.controller.heartbeat_seconds
    if recheck != before.failover.recheck_seconds and recheck > interval:
        raise ConfigRefused(
            f"failover.recheck_seconds: {recheck:g} is longer than [controller] heartbeat_seconds of this node "
            f"({interval:g}), so it would slow detection down"
        )
