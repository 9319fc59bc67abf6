"""Roles of a pair of which only the agents run: given by their records, or taken over."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Final

import httpx

from lab.node import Node
from lab.pair import Pair
from services.primary_agent.node.machine import kernel_boot_id
from tests.integration.primary_agent.agents import socket_of, state_dir, wait_until

EPOCHS: Final = {"primary": (1, 17), "secondary": (2, 18)}


def give_roles(pair: Pair, active: Node, *, round_number: int = 0) -> None:
    """Start the agents so that one node serves, and the other does not any more, or not yet.

    Their records say that the machines ran on meanwhile. The first active node comes first, so that no peer promises
    anything; a later one finds its databases closed and asks the other for that promise.
    """
    (other,) = (node for node in pair.nodes if node is not active)
    for node in pair.nodes:
        node.agent.stop()
    term = {"epoch": EPOCHS[active.name][round_number], "owner": active.name}
    serial = 1000 * (round_number + 1)  # a record that is older than its copy in the database is refused
    _write_record(active, serial, "active", "first_node", term)
    _write_record(other, serial, *(("fenced", "superseded") if round_number else ("standby", "follows")), term)
    active.agent.start()
    if round_number == 0:
        wait_until(lambda: serves(active), f"{active.name} serves")
    other.agent.start()
    wait_until(lambda: serves(active), f"{active.name} serves")
    wait_until(lambda: "address=https" in other.agent.log_text(since_start=True), f"{other.name} answers")


def serves(node: Node) -> bool:
    """Say whether the node has come to serve since its agent's start."""
    return "state=active" in node.agent.log_text(since_start=True)


def _write_record(node: Node, serial: int, state: str, reason: str, term: Mapping[str, object]) -> None:
    started_at = json.loads(node.cluster.psql("SELECT to_json(pg_postmaster_start_time())"))
    record = {
        "serial": serial,
        "pair_id": "lab",
        "node_id": node.name,
        "state": state,
        "reason": reason,
        "term": term,
        "boot": {"kernel_boot_id": kernel_boot_id(), "postmaster_started_at": started_at},
    }
    (state_dir(node) / "record.json").write_text(json.dumps(record), encoding="utf-8")


def take_over(node: Node, *, epoch: int) -> None:
    """Tell a standby's agent that the other node is dead, as its controller would; it goes on by itself."""
    asked = {
        "attempt_id": uuid.uuid4().hex,
        "kind": "failover",
        "expected_epoch": epoch,
        "is_by_hand": True,
        "why": "the other node was killed",
    }
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket_of(node))), base_url="http://agent") as http:
        answer = http.post("/node/promote", json=asked, timeout=10)
    assert answer.status_code == 200, answer.text
