"""What an administrator should know or do, judged from one frozen look at the pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from services.standby_controller.policy.advice_on_channels import about_channels
from services.standby_controller.policy.advice_on_copies import about_copies
from services.standby_controller.policy.advice_on_guards import about_guards
from services.standby_controller.policy.advice_on_habits import (
    about_disks,
    about_pace,
    about_power,
    about_practice,
)
from services.standby_controller.policy.advice_on_pairs import (
    about_certificates,
    about_clock,
    about_components,
    about_differences,
)
from services.standby_controller.policy.detector import FailureKind
from services.standby_controller.policy.durations import count, duration
from services.standby_controller.policy.sights import Advisory, PeerSight, Situation
from services.standby_controller.severity import Severity
from shared.node.model import State


def data_age_limit_seconds(interval_seconds: float) -> float:
    """Return the age above which a copy is called old: two intervals, at least two hours."""
    return max(2 * interval_seconds, 7200.0)


def advise(situation: Situation) -> tuple[Advisory, ...]:
    """Return all advisories, the most important first."""
    found = [
        *_about_nodes(situation),
        *about_differences(situation),
        *about_components(situation),
        *about_certificates(situation),
        *_about_failover(situation),
        *about_guards(situation),
        *_about_components(situation),
        *_about_schedule(situation),
        *about_pace(situation),
        *about_practice(situation),
        *about_disks(situation),
        *about_power(situation),
        *about_copies(situation),
        *about_channels(situation.channels),
    ]
    order = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}
    return tuple(sorted(found, key=lambda advisory: order[advisory.severity]))


def summarise(situation: Situation) -> str:
    """Return in one sentence what a loss of the active node would cost now."""
    if situation.own.state is None:
        return "This node's own agent does not answer, so nothing can be said."
    if situation.own.state is State.ACTIVE:
        standbys = [peer.node_id for peer in situation.peers if peer.state is State.STANDBY]
        if not standbys:
            return "This node is active and no standby answers: if it died now, the application would be down."
        known = situation.data_loss_seconds
        who = " and ".join(standbys)
        if known is None:
            return f"This node is active and {who} follows, but nothing is known of a copy there."
        return f"This node is active. {_cost(situation, known, who)}"
    if not situation.is_standby:
        return f"This node is {situation.own.state}; it holds no copy that could be used now."
    missing = [component.name for component in situation.components if component.data_age_seconds is None]
    if missing:
        return f"Nothing was copied yet of {' and '.join(missing)}: if the active node died now, that would be lost."
    oldest = max((component.data_age_seconds or 0.0 for component in situation.components), default=0.0)
    return _cost(situation, oldest, situation.own.node_id)


def _cost(situation: Situation, lost_seconds: float, standby: str) -> str:
    """Return what a loss of the active node would cost, in a sentence."""
    lost = f"If the active node died now, the last {duration(lost_seconds)} of changes would be lost"
    if not situation.takes_over_by_itself:
        return f"{lost}, and nobody would take over by itself."
    seconds = situation.worst_case_detection_seconds + situation.takeover_seconds
    return f"{lost}; {standby} would serve after {duration(seconds)} at most."


def _about_nodes(situation: Situation) -> Iterator[Advisory]:
    for node in (situation.own, *situation.peers):
        yield from _about_node(node, situation)
    states = [node.state for node in (situation.own, *situation.peers)]
    if State.ACTIVE not in states and None not in states:
        yield Advisory(
            "no_active_node",
            Severity.CRITICAL,
            None,
            "No node is active.",
            "Look at the state of both nodes and its reason.",
        )
    if states.count(State.ACTIVE) > 1:
        yield Advisory(
            "two_active_nodes",
            Severity.CRITICAL,
            None,
            "More than one node says that it is active.",
            "Stop the application on one of them now, then compare their terms with GET /v1/status on both nodes.",
        )


def _about_node(node: PeerSight, situation: Situation) -> Iterator[Advisory]:
    if node.kind in _KINDS and not node.is_own:
        code, what, hint = _KINDS[node.kind]
        text = f"{what.format(node=node.node_id)}: {node.problem_text or 'no reason given'}."
        yield Advisory(code, Severity.CRITICAL, node.node_id, text, hint)
        if node.kind in (FailureKind.AGENT_DOWN, FailureKind.SELF_ISOLATED):
            return
    if node.state is None:
        if node.is_own:
            yield Advisory(
                "own_agent_silent",
                Severity.CRITICAL,
                node.node_id,
                f"This node's own agent does not answer: {node.problem_text or 'not asked yet'}.",
                "Start `warmstandby agent` on this node.",
            )
        elif node.is_refusing:
            yield Advisory(
                "peer_refused_us",
                Severity.CRITICAL,
                node.node_id,
                f"Node {node.node_id} answers, but not as it must: {node.problem_text or 'no reason given'}.",
                "Compare keys, pair_id, TLS settings and releases of both nodes.",
            )
        elif node.is_lost:
            silence = "ever" if node.silent_seconds is None else f"for {duration(node.silent_seconds)}"
            yield Advisory(
                "standby_silent" if situation.own.state is State.ACTIVE else "peer_silent",
                Severity.CRITICAL,
                node.node_id,
                f"Node {node.node_id} did not answer {silence}: {node.problem_text or 'no answer'}.",
                "Check that the other server is up, that `warmstandby agent` runs there, and the network between them.",
                {"silent_seconds": None if node.silent_seconds is None else round(node.silent_seconds, 1)},
            )
        return
    if node.is_database_healthy is False:
        yield Advisory(
            "database_down",
            Severity.CRITICAL,
            node.node_id,
            f"The PostgreSQL server of node {node.node_id} is not healthy: {node.database_problem_text or 'unknown'}.",
            node.database_problem_hint or "Look at the log of that PostgreSQL server.",
        )
    for component in node.broken_captures:
        yield Advisory(
            "capture_broken",
            Severity.WARNING,
            component,
            f"Node {node.node_id} does not capture the changes of component {component}.",
            "The next sync copies everything again. GET /v1/components shows what is wrong.",
        )
    yield from about_clock(node, situation)


_KINDS: Final[Mapping[FailureKind, tuple[str, str, str]]] = MappingProxyType(
    {
        FailureKind.AGENT_DOWN: (
            "peer_agent_down",
            "Node {node} runs, but its agent does not answer",
            "Start `warmstandby agent` there. Its own controller closes that node for a takeover if it stays down.",
        ),
        FailureKind.SELF_ISOLATED: (
            "self_isolated",
            "Neither node {node} nor any reference target answers: this node seems to be cut off",
            "Look at this node's network. It does not promote itself while it is cut off.",
        ),
        FailureKind.APPLICATION_DOWN: (
            "application_down",
            "The application on node {node} is not healthy",
            "Look at the application there. failover.application_down says whether a standby takes over for it.",
        ),
    }
)


def _about_failover(situation: Situation) -> Iterator[Advisory]:
    if not situation.is_policy_promote:
        return
    if situation.is_in_maintenance:
        yield Advisory(
            "maintenance",
            Severity.WARNING,
            None,
            "The pair is in maintenance: no standby takes over by itself.",
            "End it with PUT /v1/maintenance.",
        )
    if not situation.is_armed:
        yield Advisory(
            "disarmed",
            Severity.CRITICAL,
            None,
            "Automatic failover is disarmed: no standby takes over by itself.",
            "Look at GET /v1/events for why, then arm it with PUT /v1/arming.",
        )
    if not situation.has_referee and not situation.is_no_referee_acknowledged:
        yield Advisory(
            "no_referee",
            Severity.WARNING,
            None,
            "Nothing but the two nodes tells a dead server from a cut link: both may serve while the link is cut.",
            "Set [controller] reference_targets or the hook fence_peer in node.toml, choose failover.policy = "
            "keep_in_standby, or accept it with failover.no_referee_acknowledged = true. "
            "`safety` in GET /v1/status says what is promised.",
        )


def _about_components(situation: Situation) -> Iterator[Advisory]:
    if not situation.is_standby:
        return
    limit = data_age_limit_seconds(situation.interval_seconds)
    for component in situation.components:
        age = component.data_age_seconds
        if age is None:
            yield Advisory(
                "never_seeded",
                Severity.CRITICAL,
                component.name,
                f"Component {component.name} was never copied to this node.",
                "Start the first sync with `warmstandby sync` or POST /v1/syncs, or wait for the schedule.",
            )
        elif age > limit:
            yield Advisory(
                "data_old",
                Severity.CRITICAL,
                component.name,
                f"The copy of component {component.name} is {duration(age)} old.",
                "Look at GET /v1/syncs for why the last ones did not succeed.",
                {"age_seconds": round(age, 1), "limit_seconds": limit},
            )
        if component.unkept_count:
            tables = count(component.unkept_count, "object is", "objects are")
            yield Advisory(
                "tables_not_kept",
                Severity.WARNING,
                component.name,
                f"Of component {component.name}, {tables} not kept current by a delta.",
                "GET /v1/status lists them with the reason.",
                {"tables": component.unkept_count},
            )


def _about_schedule(situation: Situation) -> Iterator[Advisory]:
    if not situation.is_schedule_enabled:
        yield Advisory(
            "schedule_off",
            Severity.WARNING,
            None,
            "Scheduled syncs are switched off.",
            "Set sync.enabled = true with PATCH /v1/config.",
        )
    if situation.is_standby and situation.sync_failures_in_a_row > 0:
        failed = count(situation.sync_failures_in_a_row, "sync", "syncs in a row")
        yield Advisory(
            "sync_failing",
            Severity.CRITICAL if situation.sync_failures_in_a_row >= 3 else Severity.WARNING,
            None,
            f"{failed} failed: {situation.last_sync_problem or 'no reason given'}",
            situation.last_sync_hint or "Look at GET /v1/syncs for what to do about it.",
            {"failures_in_a_row": situation.sync_failures_in_a_row},
        )
