"""What tests ask of agents that run as real processes: over HTTP, over their socket, in their files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from lab.node import Node
from lab.pair import Pair

MAJOR: Final = 18


def start_agents(pair: Pair) -> None:
    for node in pair.nodes:
        node.agent.start()
    pair.primary.agent.wait_ready(path="/active")
    pair.secondary.agent.wait_ready(path="/standby")


def headers_of(node: Node, **changes: str) -> dict[str, str]:
    headers = {
        "Authorization": f"Bearer {node.key}",
        "Warmstandby-Protocol": "1",
        "Warmstandby-Pair": "lab",
        "Warmstandby-Node": node.name,
        "Warmstandby-Boot": "boot",
    }
    return headers | {name.replace("_", "-"): value for name, value in changes.items()}


def ask(node: Node, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    return httpx.get(node.agent_url + path, headers=headers, timeout=5, trust_env=False)


def ask_own(node: Node, path: str) -> dict[str, Any]:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket_of(node))), base_url="http://agent") as client:
        answer: dict[str, Any] = client.get(path).json()
        return answer


def socket_of(node: Node) -> Path:
    line = next(line for line in node.config.read_text(encoding="utf-8").splitlines() if line.startswith("socket"))
    return Path(json.loads(line.partition("=")[2]))


def record_of(node: Node) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((state_dir(node) / "record.json").read_bytes())
    return record


def state_dir(node: Node) -> Path:
    return node.config.parent / "state"


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def reason_of(node: Node) -> str:
    return str(ask_own(node, "/node")["reason_code"])


def replace_line(node: Node, key: str, *values: str) -> None:
    """Put other lines in the place of one of node.toml."""
    lines = node.config.read_text(encoding="utf-8").splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(f"{key} ="))
    lines[at : at + 1] = values
    node.config.write_text("\n".join(lines), encoding="utf-8")


def record_state(node: Node) -> str | None:
    return str(record_of(node)["state"]) if (state_dir(node) / "record.json").exists() else None
