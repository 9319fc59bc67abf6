"""What the agents of the model's world do by themselves, by the real rules: one act a step.

A crash can come before and after each durable write that somebody else could notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shared.node.commands import is_bound
from shared.node.model import DemotionKind, State
from shared.node.observation import Contact, Databases, PeerSeen, Start
from shared.node.record import Record
from shared.node.steps import Act
from shared.node.transitions import Event
from shared.settings import Mode
from tests.simulation.rules import NAMES, Rules, silent
from tests.simulation.world import NodeNow, World, link, state_of

Move = tuple[str, World]
Source = Callable[["Agents", World, int], Iterator[Move]]

# Acts that change nothing which anybody else could see, and that are done again after a crash: no stop among them.
_INERT = {Act.STOP_APPLY, Act.PRE_PROMOTE, Act.FENCE_PEER, Act.PREPARE_CAPTURE, Act.STOP_APPLICATION, Act.CLOSE}
_FOR_EVER = 1e9


class Agents:
    """What follows from a world without anybody asking or breaking anything."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def record(self, world: World, node: int) -> Record:
        """Return a node's record."""
        return self.rules.records[world.nodes[node].record]

    def state(self, world: World, node: int) -> State:
        """Return the state that a node tells."""
        return state_of(world.nodes[node], self.record(world, node).state)

    def by_themselves(self, world: World, node: int) -> Iterator[Move]:
        """What the agent, its controller and time do without anybody asking or breaking anything."""
        for source in _BY_THEMSELVES:
            yield from source(self, world, node)

    def judge(self, world: World, node: int) -> Iterator[Move]:
        """Judge by what is heard at this moment."""
        now, before = world.nodes[node], self.state(world, node)
        if not now.is_agent_up:
            return
        seen = tuple(self._see(world, node, peer) for peer in world.peers(node))
        can_wait = before is State.WAITING and not any(peer.contact is Contact.ANSWERED for peer in seen)
        for waited in (0.0, _FOR_EVER) if can_wait else (0.0,):
            judged = self.judged(world, node, seen, waited)
            after = world.with_node(node, judged)
            state = self.record(after, node).state
            serves_on = before is State.WAITING and state is State.ACTIVE
            if judged == now or (serves_on and self._is_term_due(world, node)):
                continue
            unheard = sum(1 << peer for peer in world.peers(node) if not world.hears(node, peer))
            if serves_on and world.risks & unheard:
                after = after._replace(is_split_promised=True)
            yield f"{NAMES[node]}: judges{' after the grace' if waited else ''}, is {state}", after
        if before is State.UNINITIALISED:
            judged = self.judged(world, node, seen, databases=Databases.UNKNOWN)
            if judged != now:
                yield f"{NAMES[node]}: judges without its server", world.with_node(node, judged)

    def judged(
        self,
        world: World,
        node: int,
        seen: tuple[PeerSeen, ...],
        waited: float = 0.0,
        databases: Databases | None = None,
    ) -> NodeNow:
        """Return the node after a judgement."""
        now, start = world.nodes[node], Start.JUDGED
        if now.is_start_unknown:
            was_closed = not now.is_open and self.record(world, node).state is State.ACTIVE
            start = Start.BOOT if now.is_booted or was_closed else Start.RESTART
        mode = Mode.PRIMARY if now.is_primary else Mode.SECONDARY
        databases = databases or (Databases.IN_USE if now.has_data else Databases.EMPTY)
        record = self.rules.judge(now.record, node, mode, start, seen, databases, waited)
        state = self.rules.records[record].state
        return now._replace(
            record=record,
            is_start_unknown=False,
            is_booted=False,
            grants=now.grants if state is State.WAITING else 0,
            has_data=now.has_data or state in (State.ACTIVE, State.STANDBY),
        )

    def act(self, world: World, node: int) -> Iterator[Move]:
        """Do the act that the record names, or what the state demands of the databases."""
        now, record, name = world.nodes[node], self.record(world, node), NAMES[node]
        if not now.is_agent_up or now.is_start_unknown:
            return
        match record.state:
            case State.PROMOTING:
                yield from self._act_of_promotion(world, node, record)
            case State.DEMOTING:
                yield from self._act_of_demotion(world, node, record)
            case State.ACTIVE if not now.is_open:
                yield f"{name}: opens", world.with_node(node, now._replace(is_open=True))
            case State.STANDBY | State.FENCED | State.WAITING if now.is_open:
                yield f"{name}: closes", world.with_node(node, now._replace(is_open=False))
            case _:
                pass

    def ask_grants(self, world: World, node: int) -> Iterator[Move]:
        """Ask a peer that accepts the same term whether this node may serve on."""
        now, record = world.nodes[node], self.record(world, node)
        if not now.is_agent_up or self.state(world, node) is not State.WAITING or record.term is None:
            return
        for peer in world.peers(node):
            if not world.hears(node, peer) or now.grants & 1 << peer:
                continue
            granted = self.granted(world, node, peer, record.term.epoch)
            if granted is not None:
                yield (
                    f"{NAMES[node]}: has the grant of {NAMES[peer]}",
                    granted.with_node(node, now._replace(grants=now.grants | 1 << peer)),
                )

    def start(self, world: World, node: int) -> Iterator[Move]:
        """Start what is down: the host, or the agent."""
        now, name = world.nodes[node], NAMES[node]
        if not now.is_host_up:
            yield f"{name}: host boots", world.with_node(node, now._replace(is_host_up=True, is_booted=True))
        elif not now.is_agent_up:
            recorded = self.rules.call(now.record, "recover")
            assert recorded is not None
            record = self.rules.records[recorded]
            is_unknown = record.state is State.ACTIVE or is_bound(record)
            up = now._replace(
                record=recorded,
                is_agent_up=True,
                is_start_unknown=is_unknown,
                is_booted=now.is_booted and is_unknown,
                has_promised=record.granted_epoch is not None,
            )
            yield f"{name}: agent starts, is {state_of(up, record.state)}", world.with_node(node, up)

    def heal(self, world: World, node: int) -> Iterator[Move]:
        """Mend a link."""
        for other in range(node):
            if world.is_cut(node, other):
                yield (
                    f"link {NAMES[other]}-{NAMES[node]} healed",
                    world._replace(cut=world.cut & ~link(node, other)),
                )

    def time_passes(self, world: World, node: int) -> Iterator[Move]:
        """Let a promise run out; who holds a grant has used it by then, or does not count on it any more."""
        now = world.nodes[node]
        if now.has_promised:
            after = world.with_node(node, now._replace(has_promised=False))
            for peer in world.peers(node):
                other = after.nodes[peer]
                after = after.with_node(peer, other._replace(grants=other.grants & ~(1 << node)))
            yield f"{NAMES[node]}: its promise ends", after

    def watch(self, world: World, node: int) -> Iterator[Move]:
        """Let the controller note that the owner of the term is silent, or hear it again."""
        now, record = world.nodes[node], self.record(world, node)
        if not now.is_host_up or record.state is not State.STANDBY or record.term is None:
            return
        owner = NAMES.index(record.term.owner)
        if owner == node:  # it began anew with empty databases
            return
        is_silent = world.is_cut(node, owner) or not world.nodes[owner].is_host_up
        if is_silent != now.has_evidence and (is_silent or world.hears(node, owner)):
            noted = now._replace(has_evidence=is_silent)
            yield f"{NAMES[node]}: {'misses' if is_silent else 'hears'} {NAMES[owner]}", world.with_node(node, noted)

    def resync(self, world: World, node: int) -> Iterator[Move]:
        """Bring a fenced node to what the owner of its term has, and follow it."""
        now, record = world.nodes[node], self.record(world, node)
        if not now.is_agent_up or record.state is not State.FENCED or record.term is None:
            return
        owner = NAMES.index(record.term.owner)
        if owner == node or not world.hears(node, owner) or self.state(world, owner) is not State.ACTIVE or now.is_open:
            return
        after = self.rules.call(now.record, "follow", (record.term.epoch,))
        if after is not None:
            yield f"{NAMES[node]}: follows {NAMES[owner]}", world.with_record(node, after)

    def outcome(self, world: World, node: int) -> Iterator[Move]:
        """Ask how the handover ended that this node waits for, closed."""
        now, record = world.nodes[node], self.record(world, node)
        demotion = record.demotion
        if not now.is_agent_up or demotion is None or demotion.step != Act.CLOSED or demotion.peer is None:
            return
        peer = NAMES.index(demotion.peer)
        if not world.hears(node, peer):
            after = self.rules.call(now.record, "doubt")
            if after is not None and after != now.record:
                yield f"{NAMES[node]}: is in doubt", world.with_record(node, after)
            return
        yield from self._settle(world, node, peer, Event.HANDOVER_ABANDONED)

    def _see(self, world: World, node: int, peer: int) -> PeerSeen:
        if not world.hears(node, peer):
            return silent(peer)
        record = self.record(world, peer)
        mode = Mode.PRIMARY if world.nodes[peer].is_primary else Mode.SECONDARY
        has_granted = bool(world.nodes[node].grants & 1 << peer)
        return PeerSeen(NAMES[peer], Contact.ANSWERED, mode, self.state(world, peer), record.term, has_granted)

    def _is_term_due(self, world: World, node: int) -> bool:
        """Say whether a peer that is not heard takes the term at this moment.

        Its look holds for less than it takes to see that it is silent: the look is repeated after 2 s.
        """
        return any(
            world.nodes[peer].is_agent_up and attempt.step == Act.TAKE_TERM and not world.hears(node, peer)
            for peer in world.peers(node)
            if (attempt := self.record(world, peer).attempt)
        )

    def _tell(self, world: World, node: int) -> tuple[int, State, bool]:
        """Return what a node's view is made of."""
        now = world.nodes[node]
        return now.record, self.state(world, node), now.is_open

    def _act_of_promotion(self, world: World, node: int, record: Record) -> Iterator[Move]:
        now, name, attempt = world.nodes[node], NAMES[node], record.attempt
        assert attempt is not None
        act = Act(attempt.step)
        if act is Act.AWAIT_HANDOVER:
            assert attempt.peer is not None
            peer = NAMES.index(attempt.peer)
            if not attempt.is_peer_closed and world.hears(node, peer):
                seen = self.rules.call(now.record, "see_peer_closed", self._tell(world, peer))
                if seen is not None and seen != now.record:
                    yield f"{name}: sees {NAMES[peer]} closed", world.with_record(node, seen)
            return
        if act is Act.OPEN and not now.is_open:
            yield f"{name}: opens", world.with_node(node, now._replace(is_open=True))
            return
        heard: tuple[tuple[int, State, bool], ...] = ()
        if act is Act.LOOK_AROUND or (act is Act.TAKE_TERM and attempt.peer is not None):
            asked = [peer for peer in world.peers(node) if NAMES[peer] != attempt.peer and world.hears(node, peer)]
            heard = tuple(self._tell(world, peer) for peer in asked)
        done = self.rules.call(now.record, "advance", (heard,))
        if done is None:
            abandoned = self.rules.call(now.record, "abandon")
            assert abandoned is not None
            yield f"{name}: gives up at {act}", world.with_node(node, now._replace(record=abandoned))
            return
        done = self.past_inert(done)
        after = now._replace(record=done)
        if act is Act.LOOK_AROUND:
            is_blind = any(self._may_serve(world, peer) and not world.hears(node, peer) for peer in world.peers(node))
            after = after._replace(looked_blind=is_blind)
        if act is Act.TAKE_TERM:
            yield f"{name}: takes the term", self._took_term(world.with_node(node, after), node, record)
        else:
            yield f"{name}: {act} done, is {self.rules.records[done].state}", world.with_node(node, after)

    def _took_term(self, world: World, node: int, before: Record) -> World:
        """Note for the checker what a referee would have been needed for."""
        now, attempt = world.nodes[node], before.attempt
        assert attempt is not None
        unknown = [peer for peer in world.peers(node) if NAMES[peer] != attempt.peer]
        was_cut = any(world.is_cut(node, peer) and self._may_serve(world, peer) for peer in unknown)
        is_split = was_cut or (attempt.peer is None and now.looked_blind)
        had_not_agreed = any(not self.record(world, peer).eligible.get(NAMES[node]) for peer in world.peers(node))
        is_risk = attempt.is_by_hand and attempt.peer is None and had_not_agreed
        return world.with_node(node, now._replace(looked_blind=False, has_data=True))._replace(
            is_split_promised=world.is_split_promised or is_split,
            risks=world.risks | (1 << node if is_risk else 0),
        )

    def _may_serve(self, world: World, node: int) -> bool:
        """Say whether a node that is up serves, or is on its way to that."""
        states = (State.ACTIVE, State.WAITING, State.PROMOTING, State.DEMOTING)
        now = world.nodes[node]
        return now.is_host_up and (now.is_open or self.record(world, node).state in states)

    def _act_of_demotion(self, world: World, node: int, record: Record) -> Iterator[Move]:
        now, name, demotion = world.nodes[node], NAMES[node], record.demotion
        assert demotion is not None
        act = Act(demotion.step)
        if act is Act.CLOSED:
            return
        if act is Act.END_SESSIONS and now.is_open:
            yield f"{name}: closes", world.with_node(node, now._replace(is_open=False))
            if demotion.kind is DemotionKind.HANDOVER and demotion.peer is not None:
                peer = NAMES.index(demotion.peer)
                if world.hears(node, peer):
                    yield from self._settle(world, node, peer, Event.CLOSE_FAILED)
            return
        done = self.rules.call(now.record, "advance_demotion", (act,))
        assert done is not None
        done = self.past_inert(done)
        yield f"{name}: {act} done, is {self.rules.records[done].state}", world.with_record(node, done)

    def past_inert(self, number: int) -> int:
        """Go past the acts that nobody else can see."""
        while True:
            record = self.rules.records[number]
            if record.attempt is not None and Act(record.attempt.step) in _INERT:
                done = self.rules.call(number, "advance", ((),))
            elif record.demotion is not None and Act(record.demotion.step) in _INERT:
                done = self.rules.call(number, "advance_demotion", (Act(record.demotion.step),))
            else:
                return number
            assert done is not None
            number = done

    def granted(self, world: World, node: int, peer: int, epoch: int) -> World | None:
        """Return the world in which a peer has promised; None where it refuses."""
        giver = world.nodes[peer]
        record = self.rules.call(giver.record, "check_grant", (node, epoch))
        if record is None:
            return None
        return world.with_node(peer, giver._replace(record=record, has_promised=True, has_evidence=False))

    def _settle(self, world: World, node: int, peer: int, event: Event) -> Iterator[Move]:
        """Have the holder of the attempt abandon it and promise, and serve on; the answer may be lost."""
        record = self.record(world, node)
        demotion = record.demotion
        assert demotion is not None
        holder = self.record(world, peer)
        if self.rules.call(world.nodes[peer].record, "check_remembers") is None:
            return
        if holder.attempt is not None and holder.attempt.id == demotion.id:
            if is_bound(holder):
                return
            abandoned = self.rules.call(world.nodes[peer].record, "abandon")
            assert abandoned is not None
            world = world.with_record(peer, abandoned)
            holder = self.record(world, peer)
        assert holder.term is not None
        if (holder.term.epoch, holder.term.owner) == (demotion.epoch, demotion.peer):
            return
        told = f"{NAMES[peer]}: tells {NAMES[node]} that the attempt is abandoned"
        granted = self.granted(world, node, peer, holder.term.epoch)
        if granted is None:
            yield f"{told}, and cannot promise more", world
            return
        world = granted
        yield f"{told}, which is not heard", world
        after = self.rules.call(world.nodes[node].record, "take_back", (event,))
        assert after is not None
        yield told, world.with_record(node, after)


_BY_THEMSELVES: tuple[Source, ...] = (
    Agents.judge,
    Agents.act,
    Agents.ask_grants,
    Agents.start,
    Agents.heal,
    Agents.time_passes,
    Agents.watch,
    Agents.resync,
    Agents.outcome,
)
