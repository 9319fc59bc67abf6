"""A controller as a real process, without any agent beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import ports
from lab.node_toml import Document, lay_over, write_node_toml
from lab.service import Kind, Service


@contextmanager
def running_controller(folder: Path, dsn: str, settings: Document, *, scheme: str = "http") -> Iterator[Service]:
    """Run a controller for the time of a block; `settings` go over the sections of its node.toml."""
    port = ports.reserve_port()
    document: Document = {
        "node": {
            "id": "b",
            "mode": "secondary",
            "pair_id": "pair",
            "key": "b" * 24,
            "state_dir": folder,
        },
        "postgres": {"dsn": dsn, "apply_dsn": dsn},
        "controller": {"listen": f"127.0.0.1:{port}", "heartbeat_seconds": 0.2},
        "components": [{"name": "shop", "database": "shop"}],
        "peers": [
            {
                "node_id": "a",
                "mode": "primary",
                "agent_url": "http://127.0.0.1:1",
                "controller_url": "http://127.0.0.1:1",
                "key": "a" * 24,
            }
        ],
    }
    config = folder / "node.toml"
    write_node_toml(config, lay_over(document, settings))
    service = Service(Kind.CONTROLLER, config, f"{scheme}://127.0.0.1:{port}", node="b")
    try:
        service.start()
        yield service
    finally:
        service.kill()
        ports.release_port(port)
