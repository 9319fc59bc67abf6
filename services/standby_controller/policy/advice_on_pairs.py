"""What an administrator should know of two nodes side by side: clocks, releases, machines, certificates. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydantic import JsonValue

from services.standby_controller.policy.clock_offset import Skew, skew_of
from services.standby_controller.policy.clock_words import describe_offset, name_wrong_clock
from services.standby_controller.policy.comparison import describe_lack, describe_versions
from services.standby_controller.policy.sights import Advisory, PeerSight, Situation
from services.standby_controller.severity import Severity
from shared.node.model import State

CERTIFICATE_WARNING_SECONDS: Final = 21 * 86400.0
CERTIFICATE_CRITICAL_SECONDS: Final = 3 * 86400.0


def about_clock(node: PeerSight, situation: Situation) -> Iterator[Advisory]:
    """Yield what is to be said of one node's clock."""
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
            {"offset_low_seconds": node.offset.low_seconds, "offset_high_seconds": node.offset.high_seconds},
        )
    if node.is_clock_synchronised is False:
        yield Advisory(
            "clock_unsynchronised",
            Severity.WARNING,
            node.node_id,
            f"Nothing keeps the clock of node {node.node_id} right: its kernel says that it is not synchronised.",
            "Set up time synchronisation (chrony or systemd-timesyncd) on that server; in a container, on its host.",
        )


def about_differences(situation: Situation) -> Iterator[Advisory]:
    """Yield where nodes differ that should be alike: releases, and what their machines have."""
    own = situation.own
    for peer in situation.peers:
        if peer.versions is None or own.versions is None:
            continue
        differences, matters = describe_versions(peer.versions, own.versions)
        if differences:
            yield Advisory(
                "different_versions",
                Severity.WARNING if matters else Severity.INFO,
                peer.node_id,
                f"Node {peer.node_id} runs {', '.join(differences)}.",
                "Bring both nodes to the same releases, the standby first.",
                {"differences": list(differences)},
            )
    nodes = (own, *situation.peers)
    active = [node for node in nodes if node.state is State.ACTIVE]
    if len(active) != 1 or active[0].resources is None:
        return
    for node in nodes:
        if node.state is not State.STANDBY or node.resources is None:
            continue
        lack = describe_lack(node.resources, active[0].resources)
        if lack:
            yield Advisory(
                "different_resources",
                Severity.INFO,
                node.node_id,
                f"Node {node.node_id} has less than node {active[0].node_id}, which is active: {', '.join(lack)}.",
                "See that the standby can carry the application's load after a takeover.",
                {"lacks": list(lack)},
            )


def about_components(situation: Situation) -> Iterator[Advisory]:
    """Yield what one node has to replicate and another one does not know: it would not be there after a takeover."""
    own = situation.own
    for peer in situation.peers:
        if peer.components is None or own.components is None:
            continue
        lacking: list[JsonValue] = [
            f"node {node.node_id} has no {' and no '.join(sorted(missing))}"
            for node, missing in ((own, peer.components - own.components), (peer, own.components - peer.components))
            if missing
        ]
        if lacking:
            yield Advisory(
                "different_components",
                Severity.WARNING,
                peer.node_id,
                f"What is replicated differs: {'; '.join(map(str, lacking))}.",
                "Name the same [[components]] and [[file_sets]] in node.toml of both nodes and restart the services.",
                {"differences": lacking},
            )


def about_certificates(situation: Situation) -> Iterator[Advisory]:
    """Yield whose certificate expires soon."""
    for peer in situation.peers:
        left = peer.certificate_seconds_left
        if left is None or left >= CERTIFICATE_WARNING_SECONDS:
            continue
        how = f"expires in {left / 86400:.1f} days" if left > 0 else f"expired {-left / 86400:.1f} days ago"
        yield Advisory(
            "certificate_expiring",
            Severity.CRITICAL if left < CERTIFICATE_CRITICAL_SECONDS else Severity.WARNING,
            peer.node_id,
            f"The certificate of the agent of node {peer.node_id} {how}; then this node can hear nothing of it.",
            "Renew the file of [agent] tls_certificate on that server; it is taken up without a restart.",
            {"days_left": round(left / 86400, 1)},
        )
