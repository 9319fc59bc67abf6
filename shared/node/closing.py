"""What a controller changes in the record of its own node where the agent is dead: pure, as `commands.py`."""

from __future__ import annotations

from shared.errors import StaleTerm, TransitionRefused
from shared.node.commands import advance_demotion, begin_fence, is_fencing
from shared.node.model import NodeView, State
from shared.node.reasons import Reason
from shared.node.record import Record
from shared.node.steps import Act
from shared.surroundings import HookName


def begin_closing(record: Record, attempt_id: str, expected_epoch: int, caller: NodeView) -> Record:
    """Begin to stop serving for a peer's promotion.

    The peer, as it says when asked back, is a standby of the term that this node owns. Asked again, or after a fence
    that was begun before, it changes nothing. Raises StaleTerm, TransitionRefused.
    """
    term, node = record.term, record.node_id
    if term is None or term.epoch != expected_epoch:
        accepted = "none yet" if term is None else term.epoch
        raise StaleTerm(f"the caller follows term {expected_epoch}, this node accepts {accepted}")
    if term.owner != node:
        raise TransitionRefused(f"node {node} does not own term {term.epoch}")
    if caller.state is not State.STANDBY or caller.term != term:
        raise TransitionRefused(f"node {caller.node_id} is {caller.state}, no standby of term {term.epoch}")
    if record.state is not State.ACTIVE and not is_fencing(record):
        raise TransitionRefused(f"node {node} is {record.state}: there is nothing to hand over")
    return begin_fence(record, attempt_id, Reason.HANDED_OVER, caller.node_id)


def advance_closing(record: Record, demotion_id: str, act: Act) -> Record:
    """Note that an act of the demotion is done; the hooks are left to the agent's next start."""
    after = advance_demotion(record, demotion_id, act)
    left = (HookName.STOP_APPLICATION,) if act is Act.STOP_APPLICATION else ()
    hooks = tuple(dict.fromkeys((*record.pending_hooks, *left, *after.pending_hooks)))
    return after.model_copy(update={"pending_hooks": hooks})
