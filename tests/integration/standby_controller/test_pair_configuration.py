"""One configuration for the pair: two controllers that see each other, are cut off, lose their database, come back."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.cluster import Cluster
from lab.database import Database
from lab.people import ApiError
from services.standby_controller.policy.intervals import format_seconds, parse_every
from tests.integration.standby_controller.controllers import OneController, two_controllers, wait_until
from tests.tier import MAJORS

Both = tuple[OneController, OneController]


@pytest.fixture
def both(
    shared_cluster: Callable[[int, str], Cluster], database: Callable[..., Database], tmp_path: Path
) -> Iterator[Both]:
    """Two controllers whose databases lie on one server, which runs."""
    server = shared_cluster(MAJORS[-1], "source")
    with two_controllers(tmp_path, (database(server).dsn, database(server).dsn)) as both:
        yield both


def _interval(one: OneController) -> int:
    return parse_every(one.get("/v1/config")["document"]["sync"]["run_every"]).nominal_seconds


def _patch(seconds: int) -> dict[str, object]:
    return {"sync": {"run_every": format_seconds(seconds), "first_run": "next_on_grid"}}


def _ids(one: OneController) -> set[str]:
    return {event["id"] for event in one.get("/v1/events?limit=200")["items"]}


def _events(one: OneController, kind: str) -> list[dict[str, object]]:
    return [event["data"] | {"id": event["id"]} for event in one.get(f"/v1/events?kind={kind}")["items"]]


def test_a_change_on_one_node_is_on_the_other_when_it_is_answered(both: Both) -> None:
    """Either may be asked; the version is that of the node that made the change."""
    for number, (one, other) in enumerate([both, both[::-1], both]):
        answer = one.change(_patch(7200 + number))
        assert (answer["not_yet_on"], answer["changed_on"]) == ([], one.node)
        assert _interval(other) == 7200 + number
        assert one.get("/v1/config") == other.get("/v1/config")
    with pytest.raises(ApiError, match="412"):
        both[0].ask("PUT", "/v1/config", json={}, headers={"If-Match": '"0.2.a"'})


def test_a_change_is_accepted_while_the_other_is_silent_and_sent_later(both: Both) -> None:
    """It is marked in each answer; the other has it, and shows nothing marked, soon after it is back."""
    one, other = both
    other.service.kill()
    assert one.change(_patch(7200))["not_yet_on"] == ["b"]
    assert one.get("/v1/config")["not_yet_on"] == ["b"]
    assert one.get("/v1/status")["configuration"] == {"version": "0.2.a", "not_yet_on": ["b"], "not_in_effect": []}
    assert "not yet on b" in one.run("status")
    one.service.restart()
    one.service.wait_ready(path="/health/live")
    wait_until(lambda: one.status_of(one.token) == 200)
    assert one.get("/v1/config")["not_yet_on"] == ["b"]
    other.start()
    wait_until(lambda: other.status_of(other.token) == 200 and _interval(other) == 7200)
    wait_until(lambda: one.get("/v1/config")["not_yet_on"] == other.get("/v1/config")["not_yet_on"] == [])


def test_of_two_changes_that_did_not_see_each_other_one_wins_on_both(both: Both) -> None:
    """The other stays in the audit trail of both: who, when, before, after."""
    one, other = both
    wait_until(lambda: one.get("/v1/config")["not_yet_on"] == other.get("/v1/config")["not_yet_on"] == [])
    other.service.kill()
    one.change(_patch(7200))
    one.service.kill()
    other.start()
    wait_until(lambda: other.status_of(other.token) == 200)
    other.change(_patch(9000))
    other.change({"sync": {"enabled": False}})
    one.start()
    wait_until(lambda: one.status_of(one.token) == 200 and _interval(one) == 9000)
    assert one.get("/v1/config")["document"] == other.get("/v1/config")["document"]
    for node in both:
        wait_until(lambda node=node: len(_events(node, "config_overruled")) == 1)  # type: ignore[misc]
        wait_until(lambda node=node: len(_events(node, "config_changed")) == 3)  # type: ignore[misc]
        (lost,) = _events(node, "config_overruled")
        assert lost["before"]["sync"]["run_every"] == "PT2H"  # type: ignore[index]
        assert lost["after"]["sync"]["run_every"] == "PT150M"  # type: ignore[index]
        assert (lost["was"]["changed_by"], lost["was"]["changed_on"]) == ("test", "a")  # type: ignore[index]
        assert lost["was"]["changed_at"] < lost["is"]["changed_at"]  # type: ignore[index]
        changes = {str(change["after"]["sync"]["run_every"]) for change in _events(node, "config_changed")}  # type: ignore[index]
        assert changes == {"PT2H", "PT150M"}


def test_a_token_of_one_node_opens_the_other_until_it_is_deleted(both: Both) -> None:
    """At once while both answer; deleted while the other is away, it ends when that is back."""
    one, other = both
    made = one.ask("POST", "/v1/tokens", json={"name": "grafana", "role": "viewer"}).json()
    assert other.status_of(made["secret"]) == 200
    (shown,) = [token for token in other.get("/v1/tokens")["items"] if token["name"] == "grafana"]
    assert (shown["id"], shown["made_on"]) == (made["id"], "a")
    by_command = other.run("token", "create", "--name", "cron", "--role", "viewer").strip()
    wait_until(lambda: one.status_of(by_command) == 200, 10)
    other.ask("DELETE", f"/v1/tokens/{made['id']}")
    assert (one.status_of(made["secret"]), other.status_of(made["secret"])) == (401, 401)
    other.service.kill()
    (cron,) = [token for token in one.get("/v1/tokens")["items"] if token["name"] == "cron"]
    one.ask("DELETE", f"/v1/tokens/{cron['id']}")
    other.start()
    wait_until(lambda: other.status_of(by_command) == 401)
    names = [token["name"] for token in other.get("/v1/tokens")["items"]]
    assert names == ["test", "test"]


def test_the_last_good_copy_serves_while_the_database_is_away(
    new_cluster: Callable[..., Cluster],
    shared_cluster: Callable[[int, str], Cluster],
    database: Callable[..., Database],
    tmp_path: Path,
) -> None:
    """Settings and tokens, also after a restart; they can be read and not changed, and the file holds no secret."""
    server = new_cluster()
    with two_controllers(tmp_path, (server.dsn(), database(shared_cluster(MAJORS[-1], "source")).dsn)) as (one, other):
        other.change(_patch(7200))
        guest = other.ask("POST", "/v1/tokens", json={"name": "guest", "role": "viewer"}).json()["secret"]
        server.kill()
        for _ in range(2):
            wait_until(lambda: one.status_of(guest) == 200)
            config = one.get("/v1/config")
            assert (config["document"]["sync"]["run_every"], config["is_last_good"]) == ("PT2H", True)
            assert one.status_of(one.token + "x") == 401
            for ask in (
                lambda: one.change(_patch(9000)),
                lambda: one.ask("POST", "/v1/tokens", json={"name": "more", "role": "viewer"}),
            ):
                with pytest.raises(ApiError, match="503 database_unreachable"):
                    ask()
            assert one.service.probe("/health/live") == 200
            one.service.restart()
            one.service.wait_ready(path="/health/live")
        file = one.state / "pair.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        text = file.read_text(encoding="utf-8")
        assert guest.split("_", 2)[2] not in text
        other.change(_patch(9000))
        assert other.get("/v1/config")["not_yet_on"] == ["a"]
        server.start()
        wait_until(lambda: one.get("/v1/config") == {**other.get("/v1/config"), "not_yet_on": []})
        assert _interval(one) == 9000


def test_a_database_made_anew_gets_back_what_the_pair_knows(both: Both) -> None:
    """From the file and from the other node; what it numbers next collides with nothing."""
    one, other = both
    one.change(_patch(7200))
    before = _ids(one)
    wait_until(lambda: _ids(other) >= before)
    one.service.kill()
    Path(one.state / "pair.json").unlink()
    _drop(one)
    one.start()
    wait_until(lambda: one.status_of(one.token) == 200 and _interval(one) == 7200)
    wait_until(lambda: _ids(one) >= before)
    one.change(_patch(9000))
    wait_until(lambda: len(_events(other, "config_changed")) == len(_events(one, "config_changed")) == 2)
    wait_until(lambda: one.get("/v1/events?limit=200") == other.get("/v1/events?limit=200"))


def test_a_last_good_copy_that_cannot_be_read_is_left_aside(both: Both) -> None:
    """Of another pair, or cut off: it is said, and the database counts."""
    one, _ = both
    file = one.state / "pair.json"
    for content in ("{", json.dumps({**json.loads(file.read_text()), "pair_id": "other"})):
        one.service.stop()
        file.write_text(content)
        one.start()
        wait_until(lambda: one.status_of(one.token) == 200)
        assert "last-good copy" in one.service.log_text(since_start=True)


def _drop(one: OneController) -> None:
    """Drop what the controller keeps, as somebody does who makes its database anew."""
    import asyncio  # noqa: PLC0415  only here

    async def drop() -> None:
        async with one.open_database() as opened:
            await opened.execute("DROP SCHEMA control CASCADE")

    asyncio.run(drop())
