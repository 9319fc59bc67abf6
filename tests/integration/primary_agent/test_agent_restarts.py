"""What a restart, a boot, a lost record and a signal do to a node."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from lab.cluster import Cluster
from lab.database import Database
from lab.pair import Pair
from tests.integration.primary_agent.agents import (
    MAJOR,
    ask,
    ask_own,
    reason_of,
    record_of,
    socket_of,
    start_agents,
    state_dir,
    wait_until,
)


def test_a_restart_keeps_the_record_and_goes_on_serving_alone(pair: Pair) -> None:
    """The peer is not needed: the machine and PostgreSQL went on running."""
    before = ask_own(pair.primary, "/node")
    pair.secondary.agent.stop()
    pair.primary.agent.restart()
    pair.primary.agent.wait_ready(path="/active")
    after = ask_own(pair.primary, "/node")
    assert after["term"] == before["term"]
    assert after["boot_id"] != before["boot_id"]
    pair.primary.agent.kill()
    pair.primary.agent.start()
    pair.primary.agent.wait_ready(path="/active")


def test_after_a_boot_the_peers_are_asked_first(
    new_cluster: Callable[..., Cluster], make_pair: Callable[..., Pair]
) -> None:
    """A server that was started anew while its agent was down stands for a machine that booted."""
    source = new_cluster(MAJOR)
    pair = make_pair(source)
    start_agents(pair)
    pair.secondary.agent.stop()
    pair.primary.agent.kill()
    source.restart()
    pair.primary.agent.start()
    wait_until(lambda: pair.primary.agent.probe("/health/live") == 200, "the agent answers")
    wait_until(lambda: reason_of(pair.primary) == "peers_silent", "it waits for its peer")
    assert pair.primary.agent.probe("/active") == 503
    pair.primary.agent.restart()
    wait_until(lambda: pair.primary.agent.probe("/health/live") == 200, "the agent answers")
    wait_until(lambda: reason_of(pair.primary) == "peers_silent", "it still waits")
    pair.secondary.agent.start()
    pair.primary.agent.wait_ready(path="/active")
    assert reason_of(pair.primary) == "peers_agree"


def test_a_booted_node_serves_after_the_grace_period(
    new_cluster: Callable[..., Cluster], make_pair: Callable[..., Pair]
) -> None:
    source = new_cluster(MAJOR)
    pair = make_pair(source, settings={"agent": {"heartbeat_seconds": 0.2, "boot_grace_seconds": 2.0}})
    start_agents(pair)
    for node in pair.nodes:
        node.agent.kill()
    source.restart()
    pair.primary.agent.start()
    wait_until(lambda: pair.primary.agent.probe("/active") == 503, "the agent answers")
    pair.primary.agent.wait_ready(path="/active")
    assert reason_of(pair.primary) == "grace_over"


def test_postgresql_that_restarts_alone_does_not_end_the_service(
    new_cluster: Callable[..., Cluster], make_pair: Callable[..., Pair]
) -> None:
    source = new_cluster(MAJOR)
    pair = make_pair(source)
    start_agents(pair)
    agent = pair.primary.agent
    agent.wait_ready()
    noted = record_of(pair.primary)["boot"]["postmaster_started_at"]
    source.stop()
    wait_until(lambda: agent.probe("/health/ready") == 503, "the trouble is seen")
    assert agent.probe("/active") == 200
    assert ask(pair.primary, "/health/ready").json()["problems"][0]["code"] == "database_unreachable"
    source.start()
    agent.wait_ready()
    wait_until(lambda: record_of(pair.primary)["boot"]["postmaster_started_at"] != noted, "the start is noted")
    pair.secondary.agent.stop()
    agent.restart()
    agent.wait_ready(path="/active")


@pytest.mark.parametrize("is_corrupt", [False, True], ids=["record gone", "record unreadable"])
def test_a_node_that_lost_its_record_serves_no_more(pair: Pair, is_corrupt: bool) -> None:
    """Its databases hold data that may be newer than anybody knows; once they are gone it is an empty standby."""
    primary = pair.primary
    primary.agent.kill()
    record = state_dir(primary) / "record.json"
    if is_corrupt:
        record.write_bytes(record.read_bytes()[:-20])
    else:
        record.unlink()
    primary.agent.start()
    wait_until(lambda: primary.agent.probe("/health/live") == 200, "the agent answers")
    wait_until(lambda: reason_of(primary) == "state_lost", "it is fenced")
    assert primary.agent.probe("/active") == 503
    for component in ask_own(primary, "/components")["items"]:
        Database(primary.cluster, component["database"]).drop()
    primary.agent.wait_ready(path="/standby")
    assert record_of(primary)["term"] == {"epoch": 1, "owner": "primary"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_agent_with_success(pair: Pair, number: signal.Signals) -> None:
    os.kill(pair.primary.agent.pid, number)
    wait_until(lambda: not pair.primary.agent.is_running, "the agent ends")
    assert pair.primary.agent.exit_code == 0
    assert not socket_of(pair.primary).exists()
