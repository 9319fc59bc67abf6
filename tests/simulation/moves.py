"""Everything that can happen next in the model's world: also what controllers and people ask, and what breaks."""

from __future__ import annotations

from collections.abc import Iterator

from shared.node.commands import is_fencing
from shared.node.model import AttemptKind, State
from shared.node.observation import Contact, PeerSeen
from shared.node.reasons import Reason
from shared.node.steps import Act
from tests.simulation.agents import Agents, Move
from tests.simulation.rules import NAMES
from tests.simulation.world import NodeNow, World, link


class Moves(Agents):
    """The steps out of a world."""

    def all(self, world: World) -> Iterator[Move]:
        """Everything that can happen next."""
        for node in range(len(world.nodes)):
            yield from self.by_themselves(world, node)
            yield from self.by_controllers(world, node)
            yield from self.by_people(world, node)
            yield from self.broken(world, node)

    def by_controllers(self, world: World, node: int) -> Iterator[Move]:
        """What the node's controller asks for as its settings say: failover, handover, the right to promote itself."""
        now, record, name = world.nodes[node], self.record(world, node), NAMES[node]
        if not now.is_agent_up:
            return
        can_pay = record.state is State.STANDBY and not now.has_promised and record.term is not None
        if can_pay and (paid := world.paid("failovers")):
            if now.has_evidence:
                yield from self._reserve(paid, node, AttemptKind.FAILOVER, f"{name}: fails over", by_hand=False)
            yield from self._take_over(paid, node, by_hand=False)
        yield from self._switch_over(world, node)
        yield from self._change_eligible(world, node)

    def by_people(self, world: World, node: int) -> Iterator[Move]:
        """What an administrator may ask of this node."""
        paid = world.paid("humans")
        if paid is not None and world.nodes[node].is_agent_up:
            yield from self._human_acts(paid, node)

    def broken(self, world: World, node: int) -> Iterator[Move]:
        """What fails."""
        now = world.nodes[node]
        name = NAMES[node]
        if now.is_agent_up and (paid := world.paid("agent_crashes")):
            yield f"{name}: agent dies", paid.with_node(node, _without_agent(paid, node))
        if now.is_host_up and (paid := world.paid("host_crashes")):
            off = _without_agent(paid, node)._replace(
                is_host_up=False, is_open=False, has_evidence=False, agreed_epoch=0
            )
            yield f"{name}: host dies", paid.with_node(node, off)
        for other in range(node):
            if not world.is_cut(node, other) and (paid := world.paid("cuts")):
                yield f"link {NAMES[other]}-{name} cut", paid._replace(cut=paid.cut | link(node, other))
        if not now.is_agent_up and (paid := world.paid("lost_records")):
            yield f"{name}: record lost", paid.with_record(node, self.rules.fresh(node))
        if not now.is_agent_up and (paid := world.paid("settings")) and self.record(world, node).term is None:
            changed = now._replace(is_primary=not now.is_primary)
            yield f"{name}: mode changed", paid.with_node(node, changed)
        if self.state(world, node) is State.WAITING and now.is_agent_up and (paid := world.paid("settings")):
            seen = tuple(PeerSeen(NAMES[peer], Contact.UNCLEAR) for peer in world.peers(node))
            yield f"{name}: is refused by its peers", paid.with_node(node, self.judged(paid, node, seen))
        is_dead = now.is_host_up and not now.is_agent_up
        is_active = self.record(world, node).state is State.ACTIVE
        if is_dead and is_active and now.is_open and (paid := world.paid("takeovers")):
            yield f"{name}: controller closes for its dead agent", _closed_for_dead_agent(paid, node)

    def _reserve(
        self, world: World, node: int, kind: AttemptKind, label: str, *, by_hand: bool = True, peer: int | None = None
    ) -> Iterator[Move]:
        heard = tuple(world.nodes[other].record for other in world.peers(node) if world.hears(node, other))
        after = self.rules.reserve(world.nodes[node].record, node, kind, by_hand=by_hand, peer=peer, heard=heard)
        if after is not None:
            yield label, world.with_node(node, world.nodes[node]._replace(record=self.past_inert(after)))

    def _switch_over(self, world: World, node: int) -> Iterator[Move]:
        record, name = self.record(world, node), NAMES[node]
        attempt, owner = record.attempt, None if record.term is None else record.term.owner
        is_follower = record.state is State.STANDBY and owner not in (None, name)
        if is_follower and owner is not None and (paid := world.paid("handovers")):
            kind, peer = AttemptKind.SWITCHOVER, NAMES.index(owner)
            yield from self._reserve(paid, node, kind, f"{name}: switches over", peer=peer)
        if attempt is None or attempt.step != Act.AWAIT_HANDOVER or attempt.peer is None:
            return
        yield f"{name}: gives up waiting", self._called(world, node, "abandon")
        if attempt.is_peer_closed:
            committed = self._called(world, node, "commit")
            after = self.past_inert(committed.nodes[node].record)
            yield f"{name}: commits", committed.with_record(node, after)
        peer = NAMES.index(attempt.peer)
        if not world.hears(node, peer) or record.term is None or world.nodes[peer].is_start_unknown:
            return
        if attempt.kind is AttemptKind.TAKEOVER:
            before = world.nodes[peer].record
            can_stop = self.state(world, peer) in (State.ACTIVE, State.WAITING) or is_fencing(self.record(world, peer))
            order = (attempt.id, Reason.HANDED_OVER, name)
            ordered = self.rules.call(before, "begin_fence", order) if can_stop else None
            if ordered is not None and ordered != before:
                yield f"{name}: orders {NAMES[peer]} to fence", world.with_record(peer, self.past_inert(ordered))
        if attempt.kind is AttemptKind.SWITCHOVER:
            asked = (world.nodes[node].record, node, record.term.epoch)
            prepared = self.rules.call(world.nodes[peer].record, "begin_handover", asked)
            if prepared is not None and prepared != world.nodes[peer].record:
                yield f"{name}: asks {NAMES[peer]} to prepare", world.with_record(peer, self.past_inert(prepared))

    def _take_over(self, world: World, node: int, *, by_hand: bool) -> Iterator[Move]:
        """Begin to take over from an owner that answers, and is closed first."""
        record, name = self.record(world, node), NAMES[node]
        if record.term is None or record.term.owner == name:
            return
        peer = NAMES.index(record.term.owner)
        if world.hears(node, peer):
            label = f"{name}: takes over{' by hand' if by_hand else ''}"
            yield from self._reserve(world, node, AttemptKind.TAKEOVER, label, by_hand=by_hand, peer=peer)

    def _change_eligible(self, world: World, node: int) -> Iterator[Move]:
        now, record, name = world.nodes[node], self.record(world, node), NAMES[node]
        if record.state is not State.STANDBY or record.term is None or record.term.owner == name:
            return
        owner, epoch = NAMES.index(record.term.owner), record.term.epoch
        is_own = record.eligible.get(name, False)
        can_ask = world.hears(node, owner) and not world.nodes[owner].is_start_unknown
        theirs = self.record(world, owner).eligible.get(name, False)
        if can_ask and now.agreed_epoch != epoch and not is_own and (paid := world.paid("settings")):
            noted = self.rules.call(world.nodes[owner].record, "set_eligible", (name, epoch, True))
            if noted is not None:
                after = paid.with_record(owner, noted)
                yield (
                    f"{NAMES[owner]}: notes {name} as eligible",
                    after.with_node(node, now._replace(agreed_epoch=epoch)),
                )
        if now.agreed_epoch == epoch and not is_own:
            own = self.rules.call(now.record, "set_eligible", (name, epoch, True))
            assert own is not None
            yield f"{name}: is eligible", world.with_record(node, own)
        if is_own and (paid := world.paid("settings")):
            own = self.rules.call(now.record, "set_eligible", (name, epoch, False))
            assert own is not None
            yield f"{name}: is not eligible any more", paid.with_node(node, now._replace(record=own, agreed_epoch=0))
        if can_ask and theirs and not is_own and now.agreed_epoch != epoch:
            noted = self.rules.call(world.nodes[owner].record, "set_eligible", (name, epoch, False))
            if noted is not None:
                yield f"{NAMES[owner]}: notes {name} as not eligible", world.with_record(owner, noted)

    def _human_acts(self, world: World, node: int) -> Iterator[Move]:
        now, name = world.nodes[node], NAMES[node]
        if now.is_start_unknown:
            return
        if not now.has_promised:
            yield from self._reserve(world, node, AttemptKind.FAILOVER, f"{name}: is promoted by hand")
            yield from self._reserve(world, node, AttemptKind.FORCE, f"{name}: is forced")
            yield from self._take_over(world, node, by_hand=True)
        if self.record(world, node).reason is Reason.STATE_LOST and now.has_data and not now.is_open:
            yield f"{name}: its databases are removed", world.with_node(node, now._replace(has_data=False))
        fenced = self.rules.call(now.record, "begin_fence", (f"fence-of-{name}", Reason.BY_ADMIN))
        if fenced is not None and fenced != now.record:
            yield f"{name}: is fenced", world.with_record(node, self.past_inert(fenced))
        yield from self._unfence(world, node)

    def _unfence(self, world: World, node: int) -> Iterator[Move]:
        record = self.record(world, node)
        unfenced = self.rules.call(world.nodes[node].record, "unfence")
        if unfenced is None or record.term is None:
            return
        eligible = {name for name, is_so in record.eligible.items() if is_so}
        peers = world.peers(node)
        for peer in peers:
            granted = self.granted(world, node, peer, record.term.epoch) if world.hears(node, peer) else None
            if granted is None and (NAMES[peer] in eligible or len(peers) == 1):
                return
            world = granted or world
        yield f"{NAMES[node]}: is unfenced", world.with_record(node, unfenced)

    def _called(self, world: World, node: int, command: str) -> World:
        after = self.rules.call(world.nodes[node].record, command)
        assert after is not None, f"{command} is refused"
        return world.with_record(node, after)


def _without_agent(world: World, node: int) -> NodeNow:
    now = world.nodes[node]
    return now._replace(is_agent_up=False, is_start_unknown=False, has_promised=False, grants=0, looked_blind=False)


def _closed_for_dead_agent(world: World, node: int) -> World:
    """Close a node whose agent is dead, and tell the peers that hear its controller."""
    world = world.with_node(node, world.nodes[node]._replace(is_open=False))
    for peer in world.peers(node):
        other = world.nodes[peer]
        if other.is_host_up and not world.is_cut(node, peer):
            world = world.with_node(peer, other._replace(has_evidence=True))
    return world
