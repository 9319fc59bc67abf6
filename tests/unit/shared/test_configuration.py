"""A bad node.toml names file, key, value and what is allowed; a good one is read with the environment over it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lab.node_toml import Document, write_node_toml
from shared.configuration import load_settings, secrets_of
from shared.errors import ConfigurationError
from tests.node_file import KEYS, node_content

SECRET = "geheim-geheim-geheim-geheim"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("WARMSTANDBY_"):
            monkeypatch.delenv(name)


def write(folder: Path, **sections: dict[str, Any]) -> Path:
    return write_document(folder, node_content("one", **sections))


def write_document(folder: Path, document: Document) -> Path:
    write_node_toml(folder / "node.toml", document)
    return folder / "node.toml"


def refusal(path: Path | None) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    return caught.value


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, agent={"listen": "127.0.0.1:7000"}))
    assert settings.agent.port == 7000
    assert settings.node.epoch_class == 1
    assert settings.agent_socket == Path("state-of-one/agent.sock")


def test_the_file_is_found_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARMSTANDBY_CONFIG", str(write(tmp_path)))
    assert load_settings().node.id == "one"


def test_the_environment_wins_also_inside_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets of a container come as variables, the rest as a file."""
    monkeypatch.setenv("WARMSTANDBY_AGENT__HEARTBEAT_SECONDS", "2.5")
    monkeypatch.setenv("WARMSTANDBY_PEERS__0__KEY", SECRET)
    monkeypatch.setenv("WARMSTANDBY_COMPONENTS", '[{"name": "a", "database": "x"}, {"name": "b", "database": "y"}]')
    settings = load_settings(write(tmp_path))
    assert settings.agent.heartbeat_seconds == 2.5
    assert settings.peers[0].key.get_secret_value() == SECRET
    assert settings.peers[0].node_id == "two"
    assert [component.name for component in settings.components] == ["a", "b"]


def test_the_environment_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    for section, values in node_content().items():
        for number, row in enumerate(values if isinstance(values, list) else [values]):
            middle = f"{section}__{number}" if isinstance(values, list) else section
            for key, value in row.items():
                monkeypatch.setenv(f"WARMSTANDBY_{middle}__{key}".upper(), str(value))
    assert load_settings().peers[0].node_id == "two"


@pytest.mark.parametrize(
    ("section", "values", "expected"),
    [
        ("node", {"mode": "third"}, "[node] mode = \"third\": Input should be 'primary' or 'secondary'"),
        ("node", {"colour": "red"}, "[node] colour: unknown key; allowed are id, mode, pair_id, key"),
        ("node", {"id": "no spaces"}, '[node] id = "no spaces": allowed are 1 to 63 letters'),
        ("node", {"number": 16}, "[node] number = 16: Input should be less than or equal to 15"),
        ("agent", {"listen": "8440"}, '[agent] listen = "8440": allowed is host:port'),
        ("agent", {"tls_key": "key.pem"}, "[agent]: tls_certificate and tls_key go together"),
        ("agent", {"allow_plaintext": "maybe"}, '[agent] allow_plaintext = "maybe": Input should be a valid boolean'),
        ("agent", {"heartbeat_seconds": 0}, "[agent] heartbeat_seconds = 0: Input should be greater than 0"),
        ("log", {"format": "xml"}, "[log] format = \"xml\": Input should be 'text' or 'json'"),
        ("peer", {"agent_url": "two:8440"}, '[[peers]] 1: agent_url = "two:8440": allowed is http://host:port'),
        ("peer", {"node_id": "one"}, "peers: node_id must differ from [node] id"),
        ("peer", {"mode": "primary"}, "only one node may have mode primary"),
        ("peer", {"key": KEYS["one"]}, "every node needs a key of its own"),
        ("nodes", {"id": "x"}, "[nodes]: unknown section; allowed are node, postgres, components, file_sets, peers"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    tmp_path: Path, section: str, values: dict[str, Any], expected: str
) -> None:
    path = write(tmp_path, **{section: values})
    assert f"{path}: {expected}" in refusal(path).detail


@pytest.mark.parametrize("url", ["https://Peer.example:8440", "https://[fd00::1]:8440"])
def test_a_peer_is_no_reference_target(tmp_path: Path, url: str) -> None:
    """It falls silent together with itself; another address of the same network is one, and this machine in a lab."""
    host = url.removeprefix("https://").removesuffix(":8440").lower()
    path = write(tmp_path, peer={"controller_url": url}, controller={"reference_targets": [f"{host}:22"]})
    assert f"reference_targets: {host}:22 is the peer two itself" in refusal(path).detail
    path = write(tmp_path, peer={"controller_url": url}, controller={"reference_targets": ["gw:53", "127.0.0.1:22"]})
    assert load_settings(path).controller.reference_targets == ("gw:53", "127.0.0.1:22")


def test_only_two_nodes_may_promote_themselves(tmp_path: Path) -> None:
    """Without a referee a third one cannot be told from the second."""
    content = node_content()
    third = {**content["peers"][0], "node_id": "three", "key": "key-of-node-three-0123456789"}
    content["peers"].append(third)
    assert "only two nodes may have promotion automatic" in refusal(write_document(tmp_path, content)).detail
    third["promotion"] = "manual"
    assert len(load_settings(write_document(tmp_path, content)).peers) == 2


def test_every_fault_has_a_line_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, node={"mode": "x"}, agent={"listen": "y"}, log={"level": "z"})
    assert len(refusal(path).detail.splitlines()) == 3


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    content = node_content()
    del content["node"]["pair_id"]
    del content["components"][0]["database"]
    path = write_document(tmp_path, content)
    assert refusal(path).detail.splitlines() == [
        f"{path}: [node] pair_id: is missing",
        f"{path}: [[components]] 1: database: is missing",
    ]


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("node", {"key": "geheim"}),
        ("peer", {"key": "geheim"}),
        ("postgres", {"dsn": "host=x password=geheim"}),
        ("postgres", {"apply_dsn": "mysql://u:geheim@h/d"}),
        ("postgres", {"password": "geheim"}),
    ],
)
def test_a_secret_is_never_shown(tmp_path: Path, section: str, values: dict[str, Any]) -> None:
    error = refusal(write(tmp_path, **{section: values}))
    assert "geheim" not in f"{error.detail} {error.hint} {error!r}"


def test_a_variable_is_named_when_it_is_at_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARMSTANDBY_LOG__LEVEL", "loud")
    assert 'environment WARMSTANDBY_LOG__LEVEL: [log] level = "loud": ' in refusal(write(tmp_path)).detail


def test_a_misspelt_section_in_a_variable_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would have no effect, and nobody would know."""
    monkeypatch.setenv("WARMSTANDBY_AGNET__LISTEN", "127.0.0.1:1")
    assert "environment WARMSTANDBY_AGNET__LISTEN: unknown section" in refusal(write(tmp_path)).detail


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path / "nowhere.toml").detail
        == f"{tmp_path}/nowhere.toml: cannot be read: No such file or directory"
    )


def test_broken_toml_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('[node]\nid = "one"\nmode = primary\n', encoding="utf-8")
    assert "is not TOML" in refusal(path).detail
    assert "line 3" in refusal(path).detail


def test_without_any_configuration_the_ways_to_give_one_are_told() -> None:
    error = refusal(None)
    assert "--config" in error.hint
    assert "WARMSTANDBY_CONFIG" in error.hint


def test_all_secrets_are_known_to_the_log(tmp_path: Path) -> None:
    secrets = " ".join(secrets_of(load_settings(write(tmp_path))))
    assert all(secret in secrets for secret in (*KEYS.values(), "dsn-password"))
