"""Advice on what repeats: how long syncs take, how long failover was not practised, how full the disks are. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.standby_controller.policy.durations import count, duration
from services.standby_controller.policy.sights import Advisory, Situation
from services.standby_controller.severity import Severity

PRACTICE_SECONDS: Final = 180 * 86400.0
_LEAST_IDLE_SHARE: Final = 0.1
_NARROW_DISK: Final = 4


def about_pace(situation: Situation) -> Iterator[Advisory]:
    """Yield advice where syncs fill their interval, or will."""
    pace, interval = situation.pace, situation.interval_seconds
    if pace is None or not situation.is_schedule_enabled:
        return
    proposed = pace.proposed_interval_seconds()
    evidence = {
        "syncs": pace.count,
        "median_seconds": round(pace.median_seconds, 1),
        "p95_seconds": round(pace.p95_seconds, 1),
        "longest_seconds": round(pace.longest_seconds, 1),
        "interval_seconds": interval,
        "proposed_interval_seconds": proposed,
    }
    hint = (
        f"Set sync.run_every to {duration(proposed)} or more with PATCH /v1/config, or find out why syncs take so long."
    )
    if pace.is_busy(interval):
        yield Advisory(
            "syncs_fill_interval",
            Severity.WARNING,
            None,
            f"Of the last {count(pace.count, 'sync', 'syncs')}, 19 of 20 took up to {duration(pace.p95_seconds)}, "
            f"more than half of the interval of {duration(interval)}.",
            hint,
            evidence,
        )
    elif interval - pace.longest_seconds < _LEAST_IDLE_SHARE * interval:
        yield Advisory(
            "little_idle_time",
            Severity.WARNING,
            None,
            f"The longest of the last {count(pace.count, 'sync', 'syncs')} took {duration(pace.longest_seconds)} "
            f"and left {duration(max(0.0, interval - pace.longest_seconds))} of the interval of {duration(interval)}.",
            hint,
            evidence,
        )
    weeks = pace.weeks_until_busy(interval)
    if weeks is not None:
        growth = pace.growth_per_week or 0.0
        yield Advisory(
            "syncs_grow",
            Severity.INFO,
            None,
            f"Syncs take {growth:.0%} longer each week: in about {count(max(1, round(weeks)), 'week', 'weeks')} they "
            "fill half of their interval.",
            "Look at rows and bytes of GET /v1/syncs, and plan a longer interval or a faster standby.",
            {**evidence, "growth_per_week": round(growth, 3), "weeks_until_busy": round(weeks, 1)},
        )


def about_practice(situation: Situation) -> Iterator[Advisory]:
    """Yield advice where roles have not changed for long: what is not practised does not work when it must."""
    ago = situation.practised_ago_seconds
    if ago is not None and ago > PRACTICE_SECONDS:
        yield Advisory(
            "failover_untested",
            Severity.INFO,
            None,
            f"No standby of this pair has become active for {duration(ago)}.",
            "Swap the roles at a quiet hour with POST /v1/switchover, and swap them back: nothing is lost by it.",
            {"days": round(ago / 86400, 1)},
        )


def about_disks(situation: Situation) -> Iterator[Advisory]:
    """Yield advice where a node's disk is nearly full."""
    for node in (situation.own, *situation.peers):
        free, floor = node.disk_free_bytes, node.disk_floor_bytes
        if free is None or floor is None or free >= _NARROW_DISK * floor:
            continue
        yield Advisory(
            "disk_low",
            Severity.CRITICAL if free < floor else Severity.WARNING,
            node.node_id,
            f"Node {node.node_id} has {free / 1e9:.1f} GB of disk left; under {floor / 1e9:.1f} GB it is not promoted.",
            "Free space, or set [postgres] data_dir and [agent] disk_floor_bytes in node.toml to what the node needs.",
            {"free_bytes": free, "floor_bytes": floor},
        )


def about_power(situation: Situation) -> Iterator[Advisory]:
    """Yield advice where a shutdown of this server would not wait for a running sync."""
    if situation.is_power_kept is False:
        yield Advisory(
            "no_power_protection",
            Severity.INFO,
            situation.own.node_id,
            "A shutdown or sleep of this server does not wait for a running sync: systemd-inhibit could not be used.",
            "Nothing is damaged by it, and the next sync goes on. Let the service's user inhibit a shutdown "
            "(polkit: org.freedesktop.login1.inhibit-block-shutdown) if it should wait.",
            {},
        )
