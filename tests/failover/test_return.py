"""The host that was lost comes back: what it had alone is shown, saved and kept, and only changed rows travel."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable
from typing import Any, Final

import asyncpg
import httpx
import pytest

from lab.node import Node
from lab.people import Json
from lab.roles import Rights
from tests.failover.conftest import Open
from tests.failover.stage import APPLICATION, DATABASE, Stage
from tests.tier import in_full_tier, rounds

ROWS: Final = rounds(20_000, 1_000_000)
LATE: Final = {str(number): f"late {number}" for number in range(1, 301)}
ADDED: Final = {str(10_000_000 + number) for number in range(1, 101)}
GONE: Final = {str(number) for number in range(301, 401)}


async def lose(stage: Stage) -> None:
    """Have the primary change 500 rows alone, die, and come back fenced; the secondary has gone on with 2,000 more."""
    stage.primary.cluster.psql(
        f"CREATE TABLE item (id int PRIMARY KEY, name text); GRANT ALL ON item TO {APPLICATION};"
        f"INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, {ROWS}) AS i",
        DATABASE,
        user=APPLICATION,
    )
    await stage.sync()
    await stage.is_protected()
    stage.primary.cluster.psql(
        "UPDATE item SET name = 'late ' || id WHERE id <= 300; DELETE FROM item WHERE id BETWEEN 301 AND 400;"
        "INSERT INTO item SELECT 10000000 + i, 'only here' FROM generate_series(1, 100) AS i",
        DATABASE,
        user=APPLICATION,
    )
    await stage.kill_host(stage.primary)
    await stage.becomes(stage.secondary, "active")
    stage.secondary.cluster.psql(
        "INSERT INTO item SELECT 20000000 + i, 'new' FROM generate_series(1, 2000) AS i", DATABASE, user=APPLICATION
    )
    await stage.boot_host(stage.primary)
    await stage.becomes(stage.primary, "fenced")


async def preview(stage: Stage, node: Node) -> Json:
    """Return what a node says that its return would be, as soon as its controller knows both nodes."""

    async def told() -> Any:
        return (await stage.ask(node, "GET", "/v1/resync"))["items"]

    (found,) = await stage.until(told, "the controller tells what a return would be")
    assert isinstance(found, dict)
    return found


async def return_by_hand(stage: Stage, node: Node) -> Json:
    """Approve the return, see it through, and return the sync that did it."""
    change = await stage.until(lambda: stage.change(node, "/v1/resync", {"reason": "test"}), "the return is over")
    assert change["failure"] is None, f"{change}\n{stage.pair.log_tail()}"
    await stage.becomes(node, "standby")
    sync: Json = (await stage.ask(node, "GET", "/v1/syncs?limit=1"))["items"][0]
    return sync


def items(node: Node) -> str:
    """Return a digest of the table on a node."""
    return node.cluster.psql("SELECT count(*), md5(string_agg(id || name, ',' ORDER BY id)) FROM item", DATABASE)


async def download(node: Node, path: str) -> httpx.Response:
    """Get something that is no JSON."""
    headers = {"Authorization": f"Bearer {node.token}"}
    async with httpx.AsyncClient(base_url=node.controller_url, headers=headers, trust_env=False) as http:
        return await http.get(path)


async def check_rescue(stage: Stage) -> str:
    """See that the one rescue holds just what the primary had alone, in both versions; return its id."""
    (rescue,) = (await stage.ask(stage.primary, "GET", "/v1/rescues"))["items"]
    assert (rescue["kind"], rescue["node_id"], rescue["rows"]) == ("rows", "primary", 500)
    (table,) = rescue["tables"]
    assert (table["changed"], table["deleted"], table["inserted"], table["same_key"]) == (300, 100, 100, 0)
    answer = await download(stage.primary, f"/v1/rescues/{rescue['id']}/files/{table['file']}")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["id"]: row["name"] for row in rows if (row["_change"], row["_side"]) == ("changed", "primary")} == LATE
    assert {row["id"] for row in rows if (row["_change"], row["_side"]) == ("inserted", "primary")} == ADDED
    assert {row["id"] for row in rows if (row["_change"], row["_side"]) == ("deleted", "secondary")} == GONE
    assert len(rows) == 2 * 300 + 100 + 100
    return str(rescue["id"])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("rights", rounds([Rights.DOCUMENTED], list(Rights)))
async def test_a_lost_host_returns_with_its_rows_saved_and_only_changed_rows_sent(
    open_pair: Open, rights: Rights
) -> None:
    """It waits for a word, tells what it is about, keeps the rescue until told not to, and can be failed over to."""
    async with open_pair(rights=rights) as stage:
        await lose(stage)
        told = await preview(stage, stage.primary)
        assert not told["is_clean"]
        assert [(table["name"], table["key_count"]) for table in told["here"]] == [("item", 500)]
        assert ("item", 2000) in [(table["name"], table["key_count"]) for table in told["there"]]
        assert await stage.state(stage.primary) == "fenced"
        sync = await return_by_hand(stage, stage.primary)
        assert [part["kind"] for part in sync["components"]] == ["delta"], sync
        assert sync["components"][0]["rows"] < 5000
        assert items(stage.primary) == items(stage.secondary)
        stage.check_equal()
        rescue = await check_rescue(stage)
        assert (await stage.status(stage.primary))["rescue_count"] == 1

        async def events() -> Any:
            return (await stage.ask(stage.primary, "GET", f"/v1/events?subject={rescue}"))["items"]

        (event,) = await stage.until(events, "the rescue is told")
        assert event["kind"] == "rescue_saved"
        assert (await download(stage.primary, f"/v1/rescues/{rescue}/files/..%2Fmanifest.json")).status_code == 404
        headers = {"Authorization": f"Bearer {stage.primary.token}"}
        async with httpx.AsyncClient(base_url=stage.primary.controller_url, headers=headers, trust_env=False) as http:
            assert (await http.delete(f"/v1/rescues/{rescue}?confirm=yes")).status_code == 422
            assert (await http.delete(f"/v1/rescues/{rescue}?confirm={rescue}")).status_code == 204
            assert (await http.get(f"/v1/rescues/{rescue}")).status_code == 404
        assert (await stage.sync(stage.primary))["components"][0]["kind"] == "delta"
        await stage.is_protected()
        await stage.kill_host(stage.secondary)
        await stage.becomes(stage.primary, "active")
        await stage.boot_host(stage.secondary)
        await stage.becomes(stage.secondary, "fenced")
        assert (await preview(stage, stage.secondary))["is_clean"]
        last = await return_by_hand(stage, stage.secondary)
        assert [part["kind"] for part in last["components"]] == ["delta"], last


KILLS: Final[dict[str, Callable[[Stage], Any]]] = {
    "controller": lambda stage: stage.primary.controller.kill(),
    "database": lambda stage: stage.primary.cluster.kill(),
    "host": lambda stage: stage.primary.die(),
}


@in_full_tier
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", list(KILLS))
async def test_a_return_that_is_killed_before_its_commit_is_done_again(open_pair: Open, name: str) -> None:
    """What was saved is saved again, the same; nothing is overwritten without it."""
    async with open_pair() as stage:
        await lose(stage)
        before = items(stage.primary)
        await preview(stage, stage.primary)
        holder = await asyncpg.connect(stage.primary.cluster.dsn(DATABASE, "warmstandby_apply"))
        await holder.execute("BEGIN; SELECT * FROM item WHERE id = 1 FOR UPDATE")
        await stage.ask(stage.primary, "POST", "/v1/resync", {"reason": "test"})

        async def is_saved() -> bool:
            return bool((await stage.ask(stage.primary, "GET", "/v1/rescues"))["items"])

        await stage.until(is_saved, "the rescue is saved")
        await asyncio.sleep(0.3)
        await asyncio.to_thread(KILLS[name], stage)
        holder.terminate()
        await stage.boot_host(stage.primary)
        await stage.becomes(stage.primary, "fenced")
        assert not (await preview(stage, stage.primary))["is_clean"]
        assert items(stage.primary) == before
        sync = await return_by_hand(stage, stage.primary)
        assert [part["kind"] for part in sync["components"]] == ["delta"], sync
        assert items(stage.primary) == items(stage.secondary)
        await check_rescue(stage)
