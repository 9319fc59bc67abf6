"""A pair over TLS, with certificates checked on both sides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import trustme

from lab.pair import Pair
from tests.integration.primary_agent.agents import record_state, wait_until


def write_certificates(folder: Path) -> tuple[Path, Path]:
    """Write a certificate with its key for this machine, and the certificate of the authority that issued it."""
    authority = trustme.CA()
    issued, ca = folder / "node.pem", folder / "ca.pem"
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(issued)
    authority.cert_pem.write_to_path(ca)
    return issued, ca


def test_two_nodes_find_their_roles_over_tls(make_pair: Callable[..., Pair], tmp_path: Path) -> None:
    """A node whose authority is another's is no peer, and not dead."""
    issued, ca = write_certificates(tmp_path)
    agent = {"heartbeat_seconds": 0.2, "tls_certificate": str(issued), "tls_key": str(issued)}
    pair = make_pair(settings={"agent": agent, "tls": {"ca_file": str(ca)}})
    for node in pair.nodes:
        text = node.config.read_text(encoding="utf-8").replace('agent_url = "http://', 'agent_url = "https://')
        node.config.write_text(text, encoding="utf-8")
        node.agent.start()
    wait_until(lambda: record_state(pair.primary) == "active", "the primary serves")
    wait_until(lambda: record_state(pair.secondary) == "standby", "the secondary follows")
    write_certificates(tmp_path)
    pair.secondary.agent.restart()
    wait_until(lambda: "code=peer_refused_us" in pair.secondary.agent.log_text(), "the refusal is seen")
