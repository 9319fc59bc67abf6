"""The caller is what its key says, and the comparison tells nothing by its time."""

from __future__ import annotations

import pytest

from shared.errors import CredentialError, CredentialMissing
from shared.http.credentials import NodeKeys, digest_of, find_owner, parse_bearer
from tests.node_file import KEYS, node_settings

NODE_KEYS = NodeKeys(node_settings("one").peers)


def test_a_peer_is_known_by_its_key() -> None:
    assert NODE_KEYS.prove(f"Bearer {KEYS['two']}") == "two"
    assert NODE_KEYS.prove(f"bearer  {KEYS['two']} ") == "two"


@pytest.mark.parametrize("header", [None, ""])
def test_no_credential_is_told_apart_from_a_wrong_one(header: str | None) -> None:
    with pytest.raises(CredentialMissing):
        NODE_KEYS.prove(header)


@pytest.mark.parametrize(
    "header",
    [
        f"Bearer {KEYS['one']}",  # the node's own key proves no peer
        f"Bearer {KEYS['two']}x",
        f"Bearer {KEYS['two'][:-1]}",
        f"Basic {KEYS['two']}",
        KEYS["two"],
        "Bearer",
        "Bearer ",
        "Bearer schlüssel",
    ],
)
def test_anything_but_a_peers_key_is_refused(header: str) -> None:
    with pytest.raises(CredentialError) as caught:
        NODE_KEYS.prove(header)
    assert not isinstance(caught.value, CredentialMissing)
    assert KEYS["two"] not in caught.value.detail


def test_every_candidate_is_compared() -> None:
    """Ending at the first match would tell its place by the time."""
    names = iter(("a", "b", "c"))
    assert find_owner("a", ((name, digest_of(name)) for name in names)) == "a"
    assert next(names, None) is None


def test_a_header_without_bearer_is_no_credential() -> None:
    with pytest.raises(CredentialError):
        parse_bearer("Negotiate abc")
