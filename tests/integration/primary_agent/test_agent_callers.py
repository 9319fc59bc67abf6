"""Who may ask an agent, what it answers, and what it tells to everybody."""

from __future__ import annotations

import stat
from collections.abc import Callable

import httpx
import pytest

from lab.pair import Pair
from tests.integration.primary_agent.agents import MAJOR, ask, ask_own, headers_of, record_of, socket_of, start_agents


@pytest.fixture(scope="module")
def pair(make_pair: Callable[..., Pair]) -> Pair:
    """One pair for all tests here: they only look."""
    pair = make_pair()
    start_agents(pair)
    return pair


def test_a_new_pair_finds_its_roles_and_writes_them_down(pair: Pair) -> None:
    assert (record_of(pair.primary)["state"], record_of(pair.secondary)["state"]) == ("active", "standby")
    assert record_of(pair.primary)["term"] == record_of(pair.secondary)["term"] == {"epoch": 1, "owner": "primary"}


def test_the_caller_is_what_its_key_says(pair: Pair) -> None:
    primary, secondary = pair.nodes
    right = headers_of(secondary)
    for headers, status, code in (
        (None, 401, "credential_missing"),
        (headers_of(secondary, Authorization="Bearer wrong"), 401, "credential_invalid"),
        (headers_of(secondary, Authorization=f"Bearer {primary.key}"), 401, "credential_invalid"),
        (headers_of(secondary, Warmstandby_Node="third"), 403, "forbidden"),
        (headers_of(secondary, Warmstandby_Pair="other"), 409, "wrong_pair"),
        (headers_of(secondary, Warmstandby_Protocol="99", Warmstandby_Protocol_Min="98"), 409, "protocol_mismatch"),
        ({"Authorization": right["Authorization"]}, 409, "protocol_mismatch"),
        (right, 200, None),
    ):
        for path in ("/heartbeat", "/node", "/components"):
            answer = ask(primary, path, headers)
            assert (answer.status_code, answer.json().get("code")) == (status, code)
            assert ("Warmstandby-Pair" in answer.headers) == (status == 200)


def test_a_heartbeat_carries_the_clock_exchange_and_the_age_of_facts(pair: Pair) -> None:
    sent_at = "2026-01-02T03:04:05.678901Z"
    answer = ask(pair.primary, f"/heartbeat?sent_at={sent_at}", headers_of(pair.secondary)).json()
    assert answer["clock"]["sent_at"] == sent_at
    assert answer["clock"]["received_at"] <= answer["clock"]["answered_at"]
    assert (answer["state"], answer["mode"], answer["protocol"]) == ("active", "primary", 1)
    assert answer["database"]["is_healthy"]
    assert 0 <= answer["database"]["checked_age_seconds"] < 2
    assert answer["database"]["server_version"].startswith(str(MAJOR))
    assert [component["name"] for component in answer["components"]] == [answer["components"][0]["database"]]


def test_a_timestamp_without_a_zone_is_refused(pair: Pair) -> None:
    answer = ask(pair.primary, "/heartbeat?sent_at=2026-01-02T03:04:05", headers_of(pair.secondary))
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


def test_the_own_socket_needs_no_key_and_only_the_own_user_opens_it(pair: Pair) -> None:
    assert ask_own(pair.primary, "/heartbeat")["node_id"] == "primary"
    assert ask_own(pair.primary, "/node")["term"] == {"epoch": 1, "owner": "primary"}
    assert stat.S_IMODE(socket_of(pair.primary).stat().st_mode) == 0o600


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_probes_answer_everybody(pair: Pair, method: str) -> None:
    for node, path, status in (
        (pair.primary, "/active", 200),
        (pair.primary, "/standby", 503),
        (pair.secondary, "/active", 503),
        (pair.secondary, "/standby", 200),
    ):
        answer = httpx.request(method, node.agent_url + path, trust_env=False)
        assert answer.status_code == status
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
