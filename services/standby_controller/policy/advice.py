"""What an administrator should know or do, judged from one frozen look at the pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.standby_controller.policy.advice_on_habits import (
    advise_on_disks,
    advise_on_pace,
    advise_on_power,
    advise_on_practice,
)
from services.standby_controller.policy.advisory import Advisory
from services.standby_controller.policy.clock_offset import ClockLimits, ClockOffset, Skew, skew_of
from services.standby_controller.policy.clock_words import describe_offset, name_wrong_clock
from services.standby_controller.policy.detector import FailureKind
from services.standby_controller.policy.durations import count, duration
from services.standby_controller.policy.sync_pace import SyncPace
from services.standby_controller.severity import Severity
from shared.node.model import State


@dataclass(frozen=True, slots=True)
class PeerSight:
    """What is known of one node now."""

    node_id: str
    is_own: bool
    is_lost: bool
    state: State | None
    silent_seconds: float | None
    is_refusing: bool = False
    problem_code: str | None = None
    problem_text: str | None = None
    is_database_healthy: bool | None = None
    database_problem_text: str | None = None
    database_problem_hint: str | None = None
    broken_captures: tuple[str, ...] = ()
    offset: ClockOffset | None = None
    is_clock_synchronised: bool | None = None
    kind: FailureKind = FailureKind.WELL
    """What is certain to be wrong with a peer."""
    disk_free_bytes: int | None = None
    disk_floor_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ComponentSight:
    """How old one component's copy is."""

    name: str
    data_age_seconds: float | None
    unkept_count: int = 0
    drift_count: int = 0


@dataclass(frozen=True, slots=True)
class CopySight:
    """The copy on a standby as a whole; None where nothing was copied, or nothing is known."""

    node_id: str
    age_seconds: float | None


@dataclass(frozen=True, slots=True)
class Situation:
    """The pair at one moment, as one controller sees it."""

    own: PeerSight
    peers: tuple[PeerSight, ...]
    components: tuple[ComponentSight, ...]
    interval_seconds: float
    is_schedule_enabled: bool
    offset_warning_seconds: float
    offset_limit_seconds: float = 10.0
    is_holding_for_skew: bool = False
    """Over that limit, syncs are held."""
    sync_failures_in_a_row: int = 0
    last_sync_problem: str | None = None
    last_sync_hint: str | None = None
    is_policy_promote: bool = True
    is_armed: bool = True
    is_in_maintenance: bool = False
    has_referee: bool = True
    is_no_referee_acknowledged: bool = False
    worst_case_detection_seconds: float = 0.0
    takeover_seconds: float = 0.0
    """From the certainty that the active node is gone to serving, as far as that is known."""
    copies: tuple[CopySight, ...] = ()
    pace: SyncPace | None = None
    practised_ago_seconds: float | None = None
    is_power_kept: bool | None = None
    """Whether this server waits for a running sync before it shuts down; None where no sync has tried."""

    @property
    def is_standby(self) -> bool:
        """Say whether this node follows another."""
        return self.own.state is State.STANDBY

    @property
    def takes_over_by_itself(self) -> bool:
        """Say whether a standby is meant to take over without being told."""
        return self.is_policy_promote and self.is_armed and not self.is_in_maintenance

    @property
    def data_loss_seconds(self) -> float | None:
        """Return how much would be lost if the active node died now: the youngest copy counts; None where none is."""
        ages = [copy.age_seconds for copy in self.copies if copy.age_seconds is not None]
        return min(ages, default=None)

    @property
    def clock_limits(self) -> ClockLimits:
        """Return by which limits clocks are judged."""
        return ClockLimits(self.offset_warning_seconds, self.offset_limit_seconds, self.is_holding_for_skew)


def data_age_limit_seconds(interval_seconds: float) -> float:
    """Return the age above which a copy is called old: two intervals, at least two hours."""
    return max(2 * interval_seconds, 7200.0)


def advise(situation: Situation) -> tuple[Advisory, ...]:
    """Return all advisories, the most important first."""
    found = [
        *_about_nodes(situation),
        *_about_failover(situation),
        *_about_components(situation),
        *_about_schedule(situation),
        *advise_on_pace(situation),
        *advise_on_practice(situation),
        *advise_on_disks(situation),
        *advise_on_power(situation),
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
    yield from _about_clock(node, situation)


def _about_clock(node: PeerSight, situation: Situation) -> Iterator[Advisory]:
    skew = skew_of(node.offset, situation.clock_limits)
    if node.offset is not None and skew is not Skew.NONE:
        is_critical = skew is Skew.EXCESSIVE
        wrong = name_wrong_clock(node.node_id, situation.own.is_clock_synchronised, node.is_clock_synchronised)
        held = " Syncs are held until then." if is_critical and situation.clock_limits.is_holding else ""
        yield Advisory(
            "clock_skew",
            Severity.CRITICAL if is_critical else Severity.WARNING,
            node.node_id,
            f"{describe_offset(node.node_id, node.offset)}. {wrong.text}",
            f"Set up time synchronisation (chrony or systemd-timesyncd) {wrong.where}.{held}",
        )
    if node.is_clock_synchronised is False:
        yield Advisory(
            "clock_unsynchronised",
            Severity.WARNING,
            node.node_id,
            f"Nothing keeps the clock of node {node.node_id} right: its kernel says that it is not synchronised.",
            "Set up time synchronisation (chrony or systemd-timesyncd) on that server; in a container, on its host.",
        )


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
            )
        if component.unkept_count:
            tables = count(component.unkept_count, "table is", "tables are")
            yield Advisory(
                "tables_not_kept",
                Severity.WARNING,
                component.name,
                f"Of component {component.name}, {tables} not kept current by a delta.",
                "GET /v1/status lists them with the reason; most need a primary key.",
            )
        if component.drift_count:
            kinds = count(component.drift_count, "kind of object", "kinds of objects")
            yield Advisory(
                "schema_drift",
                Severity.WARNING,
                component.name,
                f"Of component {component.name}, {kinds} changed since its full copy.",
                "GET /v1/components lists them; the next full copy brings them.",
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
        )
