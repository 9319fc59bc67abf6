"""Dockerfile, compose.yaml and the systemd units, without an engine: valid, and in step with the code they start."""

from __future__ import annotations

import configparser
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from lab.binaries import TREE
from lab.cluster import Cluster
from services import cli
from shared.configuration import PREFIX, SEPARATOR, load_settings
from shared.settings import ListenSettings, Settings

BIN = Path(sys.executable).parent
PREPARE = TREE / "examples" / "compose" / "prepare"
INITDB = TREE / "examples" / "compose" / "initdb.sh"
MODES = ("primary", "secondary")
DOCUMENTS = {"agent": "primary_agent.json", "controller": "standby_controller.json"}


def run_tool(*command: str) -> None:
    """Run a checker and show what it says when it is not content."""
    done = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=TREE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """compose.yaml as Compose itself understands it."""
    command = [str(BIN / "docker-compose"), "-f", "compose.yaml", "config", "--format", "json"]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(command, cwd=TREE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that an administrator makes before the first start."""
    folder = tmp_path_factory.mktemp("secrets") / "secrets"
    subprocess.run([str(PREPARE), str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def nodes(secrets: Path) -> dict[str, Settings]:
    """Both node.toml of the example, loaded as a service loads them."""
    return {mode: load_settings(secrets / mode / "node.toml") for mode in MODES}


def probe_of(service: dict[str, Any]) -> tuple[int, str]:
    """Return port and path of a service's health check."""
    found = re.search(r"urlopen\('(http://[^']+)'", service["healthcheck"]["test"][-1])
    assert found is not None
    url = urlsplit(found[1])
    assert (url.hostname, url.port is not None) == ("127.0.0.1", True)
    return url.port or 0, url.path


def listening(settings: Settings, kind: str) -> ListenSettings:
    """Return how that service of the node listens."""
    return settings.agent if kind == "agent" else settings.controller


def test_compose_and_its_schema_are_content() -> None:
    run_tool("docker-compose", "-f", "compose.yaml", "config", "-q")
    run_tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")


def test_the_dockerfile_is_clean_and_asks_for_nothing_special() -> None:
    """The classic builder builds it too, on any base image, and the image runs as nobody in particular."""
    run_tool("hadolint", "Dockerfile")
    text = (TREE / "Dockerfile").read_text(encoding="utf-8")
    assert "ARG BASE_IMAGE=python:3.12-slim-bookworm\n" in text
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE_IMAGE}"}
    assert not re.search(r"^# *syntax=|RUN --|COPY --(?!from)|<<", text, re.MULTILINE)
    assert re.search(r"^USER (?!0\b|root)\d+", text, re.MULTILINE)
    assert set(re.findall(r"^EXPOSE (.*)", text, re.MULTILINE)) == {"8440 8441"}


def test_the_image_is_built_from_pins_and_from_files_that_are_there() -> None:
    """Nothing is installed without a hash, and .dockerignore lets in all that is copied."""
    text = (TREE / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"pip install[^&\\\n]*", text):
        assert "--require-hashes" in line or "--no-index" in line, line
    let_in = [line[1:] for line in (TREE / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert (TREE / source).exists(), source
            assert any(fnmatch.fnmatch(source, pattern) for pattern in let_in), source


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["agent", "controller"])
def test_a_service_of_compose_fits_its_node(
    compose: dict[str, Any], nodes: dict[str, Settings], mode: str, kind: str
) -> None:
    """It starts a command that is there; ports, probe and settings are those of the code and of its node.toml."""
    service, settings = compose["services"][f"{mode}-{kind}"], nodes[mode]
    assert service["command"] == [kind]
    assert kind in cli.SERVICES
    port = listening(settings, kind).port
    assert [one["target"] for one in service["ports"]] == [port]
    assert {one["host_ip"] for one in service["ports"]} == {"127.0.0.1"}
    document = json.loads((TREE / "openapi" / DOCUMENTS[kind]).read_text(encoding="utf-8"))
    checked_port, checked_path = probe_of(service)
    assert (checked_port, checked_path in document["paths"]) == (port, True)
    for name in service["environment"]:
        section, key = name.removeprefix(PREFIX).lower().split(SEPARATOR.lower())
        assert key in Settings.model_json_schema()["$defs"][f"{section.capitalize()}Settings"]["properties"]
    assert service["depends_on"].keys() == {f"{mode}-postgres"}


def test_both_services_of_a_node_share_its_state_and_its_file(
    compose: dict[str, Any], nodes: dict[str, Settings]
) -> None:
    """The controller speaks to its agent over the unix socket in the state folder; nodes share nothing."""
    shared = set()
    for mode in MODES:
        one, other = (compose["services"][f"{mode}-{kind}"] for kind in ("agent", "controller"))
        assert one["volumes"] == other["volumes"]
        assert one["secrets"] == other["secrets"]
        (volume,) = one["volumes"]
        (secret,) = one["secrets"]
        assert Path(volume["target"]) == nodes[mode].node.state_dir
        assert secret["target"] == "/etc/warmstandby/node.toml"
        assert compose["secrets"][secret["source"]]["file"].endswith(f"secrets/{mode}/node.toml")
        shared |= {volume["source"], secret["source"]}
    assert len(shared) == 4


def test_no_secret_stands_in_compose_or_is_committed(compose: dict[str, Any], secrets: Path) -> None:
    """All are files of one folder, which git ignores and nobody else may enter; made once, never overwritten."""
    files = {Path(secret["file"]).relative_to(TREE / "secrets") for secret in compose["secrets"].values()}
    assert files == {path.relative_to(secrets) for path in secrets.rglob("*") if path.is_file()}
    text = (TREE / "compose.yaml").read_text(encoding="utf-8")
    assert not re.search(r"(password|key):[ ]+\S", text, re.IGNORECASE)
    assert "/secrets/" in (TREE / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert secrets.stat().st_mode & 0o777 == 0o700
    again = subprocess.run([str(PREPARE), str(secrets)], capture_output=True, text=True, check=False)
    assert (again.returncode, "there already" in again.stderr) == (1, True)


def test_the_two_nodes_of_the_example_are_a_pair(
    compose: dict[str, Any], nodes: dict[str, Settings], secrets: Path
) -> None:
    """Each knows the other by its name, its key and the addresses that compose gives it."""
    for mode, other in (MODES, MODES[::-1]):
        settings, peer = nodes[mode], nodes[mode].peers[0]
        assert (peer.node_id, peer.mode) == (nodes[other].node.id, nodes[other].node.mode)
        assert peer.key == nodes[other].node.key
        assert settings.node.pair_id == nodes[other].node.pair_id
        assert settings.components == nodes[other].components
        for kind, address in (("agent", peer.agent_url), ("controller", peer.controller_url)):
            url = urlsplit(address)
            assert (url.hostname, url.port) == (f"{other}-{kind}", listening(nodes[other], kind).port)
        for dsn, role, name in (
            (settings.postgres.dsn, "warmstandby", "password"),
            (settings.postgres.apply_dsn, "warmstandby_apply", "apply_password"),
        ):
            url = urlsplit(dsn.get_secret_value())
            assert (url.username, url.path, url.hostname) == (role, "/warmstandby", f"{mode}-postgres")
            assert url.password == (secrets / mode / name).read_text()
        server = compose["services"][f"{mode}-postgres"]
        assert "wal_level=logical" in server["command"]
        assert server["environment"]["MODE"] == mode
        assert server["environment"]["APPLICATION"] == settings.components[0].database
    values = [path.read_text() for path in secrets.rglob("*password*")]
    assert len(set(values)) == len(values) == 7


def test_a_new_server_of_compose_gets_its_roles(
    compose: dict[str, Any], secrets: Path, new_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    """What the PostgreSQL image runs at its first start, here on a real server; the places in it are compose's."""
    server = compose["services"]["primary-postgres"]
    mounted = {one["target"]: Path(one["source"]) for one in server["volumes"] if one["type"] == "bind"}
    assert mounted == {
        "/docker-entrypoint-initdb.d/10-warmstandby.sh": INITDB,
        "/warmstandby/roles.sql": TREE / "docs" / "roles.sql",
    }
    given = tmp_path / "secrets"
    given.mkdir()
    for secret in server["secrets"]:
        source = Path(compose["secrets"][secret["source"]]["file"]).relative_to(TREE / "secrets")
        shutil.copy(secrets / source, given / secret["target"])
    script = INITDB.read_text(encoding="utf-8").replace("/run/secrets/", f"{given}/")
    script = script.replace("/warmstandby/roles.sql", str(TREE / "docs" / "roles.sql"))
    cluster = new_cluster()
    path = os.pathsep.join([str(cluster.bin_dir), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-s"],
        input=script,
        env={"PATH": path, "PGHOST": "127.0.0.1", "PGPORT": str(cluster.port)}
        | {name: server["environment"][name] for name in ("APPLICATION", "MODE")}
        | {"LD_LIBRARY_PATH": str(cluster.bin_dir.parent / "lib")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    passwords = "SELECT rolname FROM pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256$%' ORDER BY 1"
    assert cluster.psql(passwords).split() == ["mdm", "warmstandby", "warmstandby_apply"]
    owners = (
        "SELECT datname, pg_get_userbyid(datdba) FROM pg_database WHERE datname IN ('mdm', 'warmstandby') ORDER BY 1"
    )
    assert cluster.psql(owners).splitlines() == ["mdm|mdm", "warmstandby|warmstandby"]


@pytest.mark.parametrize("kind", ["agent", "controller"])
def test_a_unit_of_systemd_starts_a_service_with_its_state_folder(kind: str) -> None:
    """It keeps a bad configuration from being tried for ever, and its folders are those of the README."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
    unit.read(TREE / "examples" / "systemd" / f"warmstandby-{kind}.service")
    service = unit["Service"]
    readme = (TREE / "README.md").read_text(encoding="utf-8")
    program, command = service["ExecStart"].split()
    assert program.removesuffix("/bin/warmstandby") in readme
    assert command == kind
    assert service["RestartPreventExitStatus"] == "2"
    state = f'state_dir = "/var/lib/{service["StateDirectory"]}"'
    for mode in MODES:
        assert state in (TREE / "examples" / f"{mode}.toml").read_text(encoding="utf-8")
    assert f"useradd --system --home-dir /var/lib/warmstandby {service['User']}" in readme
