"""`warmstandby force-active`: an administrator's last word on a node whose controller or peers cannot be asked."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import time
from typing import Final

from services.commands.running import add_config, run_command
from shared.errors import ConfirmationNeeded, GrantGiven, PeerError, PeerRefusal, PeerUnreachable, TransitionFailed
from shared.node.client import NodeClient
from shared.node.model import AttemptKind, NodeView, Promote, State
from shared.node.protocol import Speaker
from shared.settings import Settings

DEADLINE_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.1
PROMOTE_SECONDS: Final = 300.0
PROMISE_SECONDS: Final = 60.0
SEQUENCE_HEADROOM: Final = 10_000
MOST_HEADROOM: Final = 10**9
LONGEST_REASON: Final = 500


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the program."""
    text = "make this node active although nobody can be asked"
    more = (
        "It talks to this node's agent alone. Where `warmstandby failover` works, use that: it checks the copy first."
    )
    parser = commands.add_parser("force-active", help=text, description=f"{text}. {more}")
    parser.add_argument("--confirm-node", required=True, metavar="ID", help="this node's id")
    parser.add_argument("--peers-are-off", action="store_true", help="I vouch that no other server of the pair runs")
    parser.add_argument("--although-fenced", action="store_true", help="also where this node was fenced")
    parser.add_argument("--reason", default="", type=_reason, help="why, for the history")
    parser.add_argument(
        "--sequence-headroom",
        type=_headroom,
        default=SEQUENCE_HEADROOM,
        metavar="N",
        help="move sequences on by so many steps (default: %(default)s)",
    )
    add_config(parser)
    parser.set_defaults(command=_run)


def _headroom(text: str) -> int:
    if not text.isdecimal() or int(text) > MOST_HEADROOM:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {MOST_HEADROOM}")
    return int(text)


def _reason(text: str) -> str:
    if len(text) > LONGEST_REASON:
        raise argparse.ArgumentTypeError(f"must be no longer than {LONGEST_REASON} characters")
    return text


def _run(parsed: argparse.Namespace) -> int:
    return run_command(parsed.config, lambda settings: _force(settings, parsed))


async def _force(settings: Settings, parsed: argparse.Namespace) -> int:
    if parsed.confirm_node != settings.node.id:
        raise ConfirmationNeeded(
            f"this node is {settings.node.id!r}, not {parsed.confirm_node!r}",
            hint="Run the command on the node that shall become active, and name it with --confirm-node.",
        )
    if not parsed.peers_are_off:
        raise ConfirmationNeeded(
            "if another server of the pair runs, both would serve",
            hint="Switch the others off, then say so with --peers-are-off.",
        )

    def speaker() -> Speaker:
        return Speaker(settings.node.pair_id, settings.node.id, "force-active", None)

    async with NodeClient.of_own_agent(settings, speaker, deadline_seconds=DEADLINE_SECONDS) as agent:
        try:
            before = await agent.node()
        except PeerUnreachable as error:
            hint = "The command needs this node's agent: start it, and see its log where it does not run."
            raise PeerUnreachable(error.detail, hint=hint) from error
        if before.state is State.ACTIVE:
            sys.stdout.write("this node is active already\n")
            return 0
        asked = Promote(
            attempt_id=secrets.token_hex(8),
            kind=AttemptKind.FORCE,
            expected_epoch=None if before.term is None else before.term.epoch,
            is_by_hand=True,
            may_leave_fence=parsed.although_fenced,
            sequence_headroom=parsed.sequence_headroom,
            why=parsed.reason,
        )
        await _ask(agent, asked)
        ended = await _wait(agent, asked.attempt_id)
    if ended.state is not State.ACTIVE:
        raise TransitionFailed(f"the promotion was given up; the node is {ended.state}: {ended.reason}")
    assert ended.term is not None
    sys.stdout.write(f"this node is active, in term {ended.term.epoch}\n")
    return 0


async def _ask(agent: NodeClient, asked: Promote) -> None:
    """Open the attempt, as soon as no promise to another node to stay a standby holds any more."""
    deadline, is_told = time.monotonic() + PROMISE_SECONDS, False
    while True:
        try:
            await agent.promote(asked)
        except PeerRefusal as error:
            if error.peer_code != GrantGiven.code or time.monotonic() > deadline:
                raise
            if not is_told:
                sys.stderr.write(f"{error.detail}; waiting for that\n")
            is_told = True
            await asyncio.sleep(1.0)
        else:
            return


async def _wait(agent: NodeClient, attempt_id: str) -> NodeView:
    """Look on until the attempt has ended; Ctrl-C ends the looking on, not the promotion."""
    deadline = time.monotonic() + PROMOTE_SECONDS
    while time.monotonic() < deadline:
        try:
            node = await agent.node()
        except PeerError:  # the agent may be restarted meanwhile
            node = None
        if node is not None and (node.attempt is None or node.attempt.id != attempt_id):
            return node
        await asyncio.sleep(LOOK_SECONDS)
    raise TransitionFailed(f"not active within {PROMOTE_SECONDS:g} s; the agent goes on by itself")
