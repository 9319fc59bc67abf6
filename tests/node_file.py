"""Settings of a node for tests: as what its node.toml holds, and as a value."""

from __future__ import annotations

from typing import Any, Final

from shared.settings import Settings

KEYS: Final = {"one": "key-of-node-one-0123456789", "two": "key-of-node-two-0123456789"}


def node_content(node_id: str = "one", **sections: dict[str, Any]) -> dict[str, Any]:
    """Return what the node.toml of node `one` (primary) or `two` (secondary) holds; `sections` are laid over it."""
    peer_id = "two" if node_id == "one" else "one"
    modes = {"one": "primary", "two": "secondary"}
    content: dict[str, Any] = {
        "node": {
            "id": node_id,
            "mode": modes[node_id],
            "pair_id": "lab",
            "key": KEYS[node_id],
            "state_dir": f"state-of-{node_id}",
        },
        "postgres": {
            "dsn": "postgresql://warmstandby:dsn-password@127.0.0.1:1/warmstandby",
            "apply_dsn": "postgresql://warmstandby_apply:dsn-password@127.0.0.1:1/warmstandby",
        },
        "components": [{"name": "app", "database": "app"}],
        "peers": [
            {
                "node_id": peer_id,
                "mode": modes[peer_id],
                "agent_url": "http://127.0.0.1:1",
                "controller_url": "http://127.0.0.1:1",
                "key": KEYS[peer_id],
            }
        ],
        "agent": {"listen": "127.0.0.1:0"},
    }
    for section, values in sections.items():
        if section == "peer":
            content["peers"][0].update(values)
        else:
            content[section] = {**content.get(section, {}), **values}
    return content


def node_settings(node_id: str = "one", **sections: dict[str, Any]) -> Settings:
    """Return the settings of that node."""
    return Settings.model_validate(node_content(node_id, **sections))
