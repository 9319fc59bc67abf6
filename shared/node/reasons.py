"""Why a node is in its state: stable names, and a sentence for people for each. Nothing here decides."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Reason(StrEnum):
    """Why a node is in its state; the names are stable, the sentences are in SENTENCES."""

    NEW = "new"
    WAITS_FOR_PEERS = "waits_for_peers"
    WAITS_FOR_PRIMARY = "waits_for_primary"
    WAITS_FOR_DATABASES = "waits_for_databases"
    MODE_CONFLICT = "mode_conflict"
    FIRST_NODE = "first_node"
    UNSEEDED = "unseeded"
    FOLLOWS = "follows"
    STATE_LOST = "state_lost"
    START_UNKNOWN = "start_unknown"
    BOOTED = "booted"
    PEER_PROMOTING = "peer_promoting"
    PEER_ACTIVE = "peer_active"
    TERM_HEARD = "term_heard"
    PEER_UNCLEAR = "peer_unclear"
    PEERS_SILENT = "peers_silent"
    NO_ACTIVE_NODE = "no_active_node"
    PEERS_AGREE = "peers_agree"
    GRACE_OVER = "grace_over"
    SUPERSEDED = "superseded"
    BOTH_ACTIVE = "both_active"
    TAKING_OVER = "taking_over"
    SWITCHING_OVER = "switching_over"
    FORCED = "forced"
    PROMOTED = "promoted"
    HANDING_OVER = "handing_over"
    IN_DOUBT = "in_doubt"
    TAKEN_BACK = "taken_back"
    FENCE_INCOMPLETE = "fence_incomplete"
    CLOSING = "closing"
    HANDED_OVER = "handed_over"
    BY_ADMIN = "by_admin"
    UNFENCED = "unfenced"
    STATE_ROLLED_BACK = "state_rolled_back"


SENTENCES: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.NEW: "The node has no record of a state yet.",
        Reason.WAITS_FOR_PEERS: "Not every peer has answered yet; the first active node is chosen when all do.",
        Reason.WAITS_FOR_PRIMARY: "No peer is active yet; the node with mode primary becomes the first active node.",
        Reason.WAITS_FOR_DATABASES: "The node's databases must be seen before it may become a standby.",
        Reason.MODE_CONFLICT: "A peer has mode primary as well; set [node] mode = secondary on one of them.",
        Reason.FIRST_NODE: "The node has mode primary and every peer is new: it is the first active node.",
        Reason.UNSEEDED: "The node was empty when the pair had an active node: it follows, and began with a seed.",
        Reason.FOLLOWS: "The node follows the owner of the highest term.",
        Reason.STATE_LOST: "The node's record is lost while its databases hold data; remove them to have it seeded.",
        Reason.START_UNKNOWN: "The node was active; PostgreSQL must answer to tell a restart of the agent from a boot.",
        Reason.BOOTED: "The machine or its PostgreSQL server was started anew; the peers are asked before it serves.",
        Reason.PEER_PROMOTING: "A peer is being promoted; its outcome is awaited.",
        Reason.PEER_ACTIVE: "A peer with a lower term is active, or not closed yet; it must be fenced first.",
        Reason.TERM_HEARD: "A peer knows a higher term, whose owner has not answered.",
        Reason.PEER_UNCLEAR: "A peer refuses this node or answers wrongly; it counts neither as dead nor as alive.",
        Reason.PEERS_SILENT: "A peer does not answer; it is waited for.",
        Reason.NO_ACTIVE_NODE: "A silent standby may have been promoted; `warmstandby force-active` decides.",
        Reason.PEERS_AGREE: "Every peer answered and none owns a higher term.",
        Reason.GRACE_OVER: "A peer stayed silent past the grace period, and no standby may promote itself.",
        Reason.SUPERSEDED: "A peer owns a higher term: it was promoted since.",
        Reason.BOTH_ACTIVE: "A peer was promoted while this node served too; choose which side goes on.",
        Reason.TAKING_OVER: "The node takes over from one that does not serve any more.",
        Reason.SWITCHING_OVER: "The node takes over from the active one, which hands over.",
        Reason.FORCED: "An administrator makes this node active and vouches that no other serves.",
        Reason.PROMOTED: "The node was promoted and owns the term.",
        Reason.HANDING_OVER: "The node hands over to a peer; it comes back if the peer gives up.",
        Reason.IN_DOUBT: "The peer that this node handed over to is silent; `warmstandby force-active` may decide.",
        Reason.TAKEN_BACK: "The handover was given up; this node serves on.",
        Reason.FENCE_INCOMPLETE: "The handover was given up, because the databases could not be closed; it serves on.",
        Reason.CLOSING: "The node stops serving: its databases are being closed.",
        Reason.HANDED_OVER: "The node was closed so that a peer could take over.",
        Reason.BY_ADMIN: "An administrator fenced the node.",
        Reason.UNFENCED: "An administrator ended the fence, and the peers agreed.",
        Reason.STATE_ROLLED_BACK: "The node's record is older than its copy: the file was restored from a backup.",
    }
)
