"""Roles of a pair of which only the agents run, given by their records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from lab.node import Node
from lab.pair import Pair

EPOCHS: Final = {"primary": (1, 17), "secondary": (2, 18)}


def give_roles(pair: Pair, active: Node, *, round_number: int = 0) -> None:
    """Start the agents so that one node serves, and the other does not any more, or not yet."""
    for node in pair.nodes:
        node.agent.stop()
    for node in pair.nodes:
        is_active = node is active
        standing = (
            ("active", "first_node")
            if is_active
            else ("fenced", "superseded")
            if round_number
            else ("standby", "follows")
        )
        record = {
            "pair_id": "lab",
            "node_id": node.name,
            "state": standing[0],
            "reason": standing[1],
            "term": {"epoch": EPOCHS[active.name][round_number], "owner": active.name},
        }
        Path(node.config.parent / "state" / "record.json").write_text(json.dumps(record), encoding="utf-8")
    for node in pair.nodes:
        node.agent.start()
