"""Who calls: reads a bearer credential and finds whose it is in a time that tells nothing. No route lives here."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import TypeVar

from shared.errors import CredentialError, CredentialMissing
from shared.settings import PeerSettings

Owner = TypeVar("Owner")


def parse_bearer(authorization: str | None) -> str:
    """Return the credential of an Authorization header; raise CredentialMissing or CredentialError."""
    if not authorization:
        raise CredentialMissing("the request has no Authorization header")
    scheme, _, credential = authorization.partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise CredentialError("the Authorization header is not `Bearer` and a credential")
    return credential.strip()


def digest_of(credential: str) -> bytes:
    """Return the SHA-256 of a credential: what is compared, and all that need be kept."""
    return hashlib.sha256(credential.encode()).digest()


def find_owner(credential: str, candidates: Iterable[tuple[Owner, bytes]]) -> Owner | None:
    """Return whose digest is that of the credential; every candidate is compared, in constant time."""
    presented = digest_of(credential)
    found: Owner | None = None
    for owner, digest in candidates:
        if hmac.compare_digest(presented, digest):
            found = owner
    return found


class NodeKeys:
    """The peers' keys: the caller is the node whose key it sends."""

    def __init__(self, peers: Sequence[PeerSettings]) -> None:
        self._digests = [(peer.node_id, digest_of(peer.key.get_secret_value())) for peer in peers]

    def prove(self, authorization: str | None) -> str:
        """Return the node_id of the caller; raise CredentialMissing or CredentialError."""
        node_id = find_owner(parse_bearer(authorization), self._digests)
        if node_id is None:
            raise CredentialError(
                "the key is not that of a peer",
                hint="Compare [node] key of the calling node with its key in [[peers]] of this node.",
            )
        return node_id
