"""What an agent says when its configuration or its PostgreSQL does not suit, and that it never says a secret."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from lab.cluster import Cluster
from lab.node import Node
from lab.node_toml import write_node_toml
from lab.pair import Pair
from lab.service import Kind, Service
from tests.integration.primary_agent.agents import (
    MAJOR,
    ask,
    headers_of,
    replace_line,
    start_agents,
    state_dir,
    wait_until,
)
from tests.node_file import node_content

PASSWORD = "dsn-p4ssword-of-the-test"


def refusal(service: Service) -> str:
    """Start a service that must not start: exit code 2, plain lines, no traceback."""
    service.start()
    wait_until(lambda: not service.is_running, "the service ends")
    said = service.log_text(since_start=True)
    assert service.exit_code == 2, said
    assert "Traceback" not in said
    return said


def test_a_state_folder_of_another_node_is_refused(pair: Pair) -> None:
    pair.secondary.agent.stop()
    replace_line(pair.secondary, "state_dir", f"state_dir = '{state_dir(pair.primary)}'")
    assert "another agent uses this folder" in refusal(pair.secondary.agent)
    pair.primary.agent.stop()
    assert "is the record of node primary" in refusal(pair.secondary.agent)


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        ("agent", {"listen": "0.0.0.0:0"}, "reachable from other machines, and the service has no TLS"),
        ("agent", {"tls_certificate": "/nowhere", "tls_key": "/nowhere"}, "No such file"),
        ("agent", {"socket": "/nowhere/agent.sock"}, "[agent] socket"),
        ("node", {"mode": "third"}, "[node] mode = \"third\": Input should be 'primary' or 'secondary'"),
        ("node", {"key": "short"}, "[node] key: a key has at least 24 characters"),
        ("node", {"state_dir": "/proc/nowhere"}, "[node] state_dir"),
        ("tls", {"ca_file": "/nowhere"}, "[tls] ca_file"),
    ],
)
def test_a_configuration_that_cannot_work_ends_with_plain_lines(
    tmp_path: Path, section: str, values: dict[str, str], said: str
) -> None:
    content = node_content("one", peer={"agent_url": "https://127.0.0.1:1"}, node={"state_dir": str(tmp_path)})
    content[section] = content.get(section, {}) | values
    write_node_toml(tmp_path / "node.toml", content)
    assert said in refusal(Service(Kind.AGENT, tmp_path / "node.toml", "http://127.0.0.1:1", node="one"))


def is_logged(service: Service, code: str) -> bool:
    return f"code={code}" in service.log_text()


def is_shown(node: Node, code: str, hint: str) -> bool:
    problems = ask(node, "/health/ready").json()["problems"]
    return any(problem["code"] == code and hint in problem["hint"] for problem in problems[:1])


def test_trouble_with_postgresql_is_named_with_what_to_do_and_passes_by_itself(
    new_cluster: Callable[..., Cluster], make_pair: Callable[..., Pair]
) -> None:
    """The agent runs on, says it once, and needs no restart."""
    source = new_cluster(MAJOR, wal_level="replica")
    pair = make_pair(source)
    agent = pair.primary.agent
    agent.start()
    for code, hint, breaks, mends in (
        ("wal_level_insufficient", "ALTER SYSTEM SET wal_level", [], ["ALTER SYSTEM SET wal_level = logical"]),
        (
            "rights_missing",
            "docs/roles.sql",
            ["ALTER ROLE warmstandby NOSUPERUSER"],
            ["ALTER ROLE warmstandby SUPERUSER"],
        ),
        ("database_login_refused", "role", ["ALTER ROLE warmstandby NOLOGIN"], []),
        (
            "database_missing",
            "Create it",
            ["ALTER DATABASE warmstandby RENAME TO away", "ALTER ROLE warmstandby LOGIN"],
            ["ALTER DATABASE away RENAME TO warmstandby"],
        ),
    ):
        for statement in breaks:
            source.psql(statement)
        source.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'warmstandby'")
        wait_until(partial(is_logged, agent, code), f"the log names {code}")
        wait_until(partial(is_shown, pair.primary, code, hint), f"readiness shows {code} and what to do")
        for statement in mends:
            source.psql(statement)
        if code == "wal_level_insufficient":
            source.restart()
        if mends:
            agent.wait_ready()
    assert agent.log_text().count("code=wal_level_insufficient") == 1


def test_secrets_are_nowhere_to_be_read(new_cluster: Callable[..., Cluster], make_pair: Callable[..., Pair]) -> None:
    """Not in logs, errors, answers or process lists, also while everything fails."""
    source = new_cluster(MAJOR)
    pair = make_pair(source)
    node, agent = pair.primary, pair.primary.agent
    dsn = source.dsn("warmstandby", "warmstandby", PASSWORD)
    replace_line(node, "dsn", f"dsn = '{dsn}'")
    start_agents(pair)
    answers = [
        ask(node, path, headers).text
        for path in ("/heartbeat", "/node", "/components", "/health/ready", "/openapi.json", "/nowhere")
        for headers in (None, headers_of(pair.secondary))
    ]
    source.psql("ALTER ROLE warmstandby NOLOGIN")
    source.restart()
    wait_until(lambda: "login_refused" in agent.log_text(), "the refusal is seen")
    answers.append(ask(node, "/heartbeat", headers_of(pair.secondary)).text)
    source.stop()
    wait_until(lambda: "database_unreachable" in agent.log_text(), "the silence is seen")
    lists = Path("/proc", str(agent.pid), "cmdline").read_text(encoding="utf-8")
    everything = "\n".join([*answers, lists, *(service.log_text() for one in pair.nodes for service in one.services)])
    for secret in (PASSWORD, *(one.key for one in pair.nodes)):
        assert secret not in everything
