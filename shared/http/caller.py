"""Who calls a route between nodes: a peer proved by its key, or the own node on its unix socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Header, Request, Security
from fastapi.security import HTTPBearer

from shared.errors import (
    CredentialError,
    CredentialMissing,
    ForbiddenError,
    ProtocolMismatch,
    WarmstandbyError,
    WrongPair,
)
from shared.http.credentials import NodeKeys
from shared.node.model import PROTOCOL_MAX, PROTOCOL_MIN
from shared.node.protocol import (
    BOOT_HEADER,
    NODE_HEADER,
    PAIR_HEADER,
    PROTOCOL_HEADER,
    PROTOCOL_MIN_HEADER,
    TERM_HEADER,
    Speaker,
    read_speaker,
)

Caller = Callable[..., Awaitable[str]]

CALLER_ERRORS: Final[tuple[type[WarmstandbyError], ...]] = (
    CredentialMissing,
    CredentialError,
    ForbiddenError,
    WrongPair,
    ProtocolMismatch,
)

_KEY: Final = HTTPBearer(
    scheme_name="nodeKey",
    description="The calling node's own key, as in [node] key of its node.toml.",
    auto_error=False,
)


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """What a service needs to know its peers: their keys, and who answers them."""

    keys: NodeKeys
    speaker: Callable[[], Speaker]


def peer_caller(doorkeeper_of: Callable[[Request], Doorkeeper]) -> Caller:
    """Return the dependency that gives the node_id of the peer whose key the request carries.

    It raises CredentialMissing, CredentialError, WrongPair, ProtocolMismatch, and ForbiddenError for a node that calls
    itself otherwise than its key.
    """

    async def prove_peer(
        request: Request,
        _key: Annotated[Any, Security(_KEY)] = None,
        _protocol: Annotated[
            str | None, Header(alias=PROTOCOL_HEADER, description="Highest protocol number the caller speaks.")
        ] = None,
        _protocol_min: Annotated[
            str | None, Header(alias=PROTOCOL_MIN_HEADER, description="Lowest protocol number the caller speaks.")
        ] = None,
        _pair: Annotated[str | None, Header(alias=PAIR_HEADER, description="The caller's pair_id.")] = None,
        _node: Annotated[str | None, Header(alias=NODE_HEADER, description="The caller's node_id.")] = None,
        _boot: Annotated[str | None, Header(alias=BOOT_HEADER, description="The caller's boot_id.")] = None,
        _term: Annotated[
            str | None, Header(alias=TERM_HEADER, description="Epoch of the term the caller accepts.")
        ] = None,
    ) -> str:
        doorkeeper = doorkeeper_of(request)
        own = doorkeeper.speaker()
        node_id = doorkeeper.keys.prove(request.headers.get("Authorization"))
        _check_speaker(read_speaker(request.headers), node_id, own.pair_id)
        _introduce(request, own)
        return node_id

    return prove_peer


def own_caller(speaker: Callable[[], Speaker]) -> Caller:
    """Return the dependency of the unix socket: who can open it is this node."""

    async def prove_own(request: Request) -> str:
        own = speaker()
        _introduce(request, own)
        return own.node_id

    return prove_own


def _introduce(request: Request, own: Speaker) -> None:
    """Have the answer say who speaks; only a proved caller is told."""
    request.state.answer_headers = own.headers()


def _check_speaker(speaker: Speaker | None, node_id: str, pair_id: str) -> None:
    if speaker is None:
        raise ProtocolMismatch(
            f"the request does not say who speaks ({PROTOCOL_HEADER}, {PAIR_HEADER}, {NODE_HEADER}, {BOOT_HEADER})"
        )
    if speaker.pair_id != pair_id:
        raise WrongPair(f"the caller belongs to the pair {speaker.pair_id}, this node to {pair_id}")
    if not speaker.is_understood:
        raise ProtocolMismatch(
            f"the caller speaks protocol {speaker.protocol_min} to {speaker.protocol}, "
            f"this node {PROTOCOL_MIN} to {PROTOCOL_MAX}"
        )
    if speaker.node_id != node_id:
        raise ForbiddenError(
            f"the caller says that it is {speaker.node_id}, its key is that of {node_id}",
            hint="Compare [node] id and key of the calling node with [[peers]] of this node.",
        )
