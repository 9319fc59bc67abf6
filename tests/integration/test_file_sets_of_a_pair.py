"""A file set between services that run: seed, delta, kills, guard, verification, failover and the return."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.cluster import Cluster
from lab.database import Database
from lab.pair import Pair
from lab.people import Json, SyncFailed, ask_once
from shared.files.places import staging_folder
from tests.integration.files.stage import snapshot, write
from tests.tier import MAJORS, rounds

NAME = "papers"
DATABASE = "filed"


@dataclass(slots=True)
class Filed:
    """A pair with one small database and one file set."""

    pair: Pair
    source: Path
    target: Path

    async def sync(self) -> Json:
        """Sync the secondary and return what came of the file set."""
        done = await self.pair.sync()
        return next(part for part in done["components"] if part["component"] == NAME)

    def compare(self) -> None:
        """See that both trees hold the same, and nothing of a sync lies beside either."""
        assert snapshot(self.target) == snapshot(self.source)
        assert not staging_folder(self.target).exists()
        assert not staging_folder(self.source).exists()


@pytest.fixture(scope="module")
def clusters(shared_cluster: Callable[[int, str], Cluster]) -> Iterator[tuple[Cluster, Cluster]]:
    source, target = shared_cluster(MAJORS[-1], "source"), shared_cluster(MAJORS[-1], "target")
    database = Database.create(source, DATABASE)
    database.psql("CREATE TABLE item (id int PRIMARY KEY)")
    yield source, target
    for cluster in (source, target):
        Database(cluster, DATABASE).drop()


@pytest.fixture(scope="module")
def filed(clusters: tuple[Cluster, Cluster], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filed]:
    """The pair, each node with a folder of its own."""
    folder = tmp_path_factory.mktemp("pair")
    folders = [folder / node / NAME for node in ("primary", "secondary")]
    with Pair.create(folder / "pair", *clusters, databases=[DATABASE]) as pair:
        for node, place in zip(pair.nodes, folders, strict=True):
            place.mkdir(parents=True)
            with node.config.open("a", encoding="utf-8") as config:
                config.write(f'\n[[file_sets]]\nname = "{NAME}"\npath = "{place}"\nexclude = ["*.tmp"]\n')
        write(folders[0] / "letter.txt", "dear all")
        write(folders[0] / "in" / "deep.bin", os.urandom(50_000))
        (folders[0] / "in" / "link").symlink_to("../letter.txt")
        pair.start(timeout=120)
        asyncio.run(pair.sync(timeout=300))
        yield Filed(pair, *folders)


async def test_a_seed_then_deltas_and_the_history_says_so(filed: Filed) -> None:
    filed.compare()
    async with filed.pair.secondary.open_api() as api:
        newest = (await api.get("/v1/syncs"))["items"][0]
        (part,) = [part for part in newest["components"] if part["component"] == NAME]
        assert (part["kind"], part["rows"], part["bytes"]) == ("seed", 4, 50_008)
        status = await api.get("/v1/status")
        (shown,) = [one for one in status["components"] if one["name"] == NAME]
        assert (shown["database"], shown["folder"]) == (None, str(filed.target))
        assert shown["data_age_seconds"] < 60
        assert shown["problem"] is None
    write(filed.source / "letter.txt", "dear everybody")
    (filed.source / "in").rename(filed.source / "out")
    part = await filed.sync()
    filed.compare()
    assert (part["kind"], part["bytes"]) == ("delta", len("dear everybody"))
    assert (await filed.sync())["rows"] == 0


async def test_a_missing_folder_is_its_own_error_and_the_database_is_synced(filed: Filed) -> None:
    away = filed.source.with_name("away")
    filed.source.rename(away)
    with pytest.raises(SyncFailed, match="file_set_missing") as caught:
        await filed.pair.sync()
    away.rename(filed.source)
    parts = {part["component"]: part for part in caught.value.sync["components"]}
    assert "no folder" in parts[NAME]["failure"]["detail"]
    assert parts[DATABASE]["result"] == "succeeded"
    await filed.sync()
    filed.compare()


async def test_a_source_that_lost_most_is_not_believed_until_it_is_accepted(filed: Filed) -> None:
    for number in range(30):
        write(filed.source / "many" / str(number), str(number))
    await filed.sync()
    before = snapshot(filed.target)
    shutil.rmtree(filed.source / "many")
    with pytest.raises(SyncFailed, match="source_shrank") as caught:
        await filed.pair.sync()
    assert "of the copy's 32 files 2 would be left" in caught.value.sync["failure"]["detail"]
    assert snapshot(filed.target) == before
    async with filed.pair.secondary.open_api() as api:
        started = await api.post("/v1/syncs", {"accept": ["source_shrank"]})
        assert (await api.follow_sync(started["id"]))["result"] == "succeeded"
    filed.compare()


async def test_a_verification_finds_and_mends_what_was_done_to_the_copy(filed: Filed) -> None:
    """Cut short, changed with size and time as before, gone, more than there should be."""
    for name in ("short", "same", "gone", "whole"):
        write(filed.source / name, f"the content of {name}")
    await filed.sync()
    write(filed.target / "short", "the con")
    write(filed.target / "same", "the contenT of same")
    (filed.target / "gone").unlink()
    write(filed.target / "extra\n", "extra")
    async with filed.pair.secondary.open_api() as api:
        started = await api.post("/v1/verifications", {"level": "full"})
        await api.follow_sync(started["id"])
        found = await api.get(f"/v1/verifications/{started['id']}")
    (part,) = [part for part in found["components"] if part["component"] == NAME]
    told = {one["name"]: one["text"] for one in part["differences"]}
    assert set(told) == {"short", "same", "gone", "extra%0A"}
    assert "truncated" in told["short"]
    assert "size and time are the same" in told["same"]
    assert "missing" in told["gone"]
    assert "extra" in told["extra%0A"]
    assert all(one["kind"] == "file" and one["repaired_at"] for one in part["differences"])
    assert found["verdict"] == "repaired"
    filed.compare()


@pytest.mark.parametrize("victim", ["agent", "controller"])
async def test_a_sync_whose_services_are_killed_leaves_whole_files(filed: Filed, victim: str) -> None:
    """Kill -9 while a large file comes; the sync after that brings it."""
    write(filed.source / "large", os.urandom(1 << 20) * rounds(60, 400), mtime=None)
    before = snapshot(filed.target)
    async with filed.pair.secondary.open_api() as api:
        await api.start_sync()
        await asyncio.to_thread(wait_gathering, filed)
    service = filed.pair.primary.agent if victim == "agent" else filed.pair.secondary.controller
    service.kill()
    service.start()
    await asyncio.to_thread(service.wait_ready, 30.0)
    assert snapshot(filed.target) in (before, snapshot(filed.source))
    await wait_sync(filed)
    filed.compare()


def wait_gathering(filed: Filed) -> None:
    """Wait until something has come, and return at once."""
    gathered = staging_folder(filed.target) / "new"
    deadline = time.monotonic() + 30
    while not any(path.stat().st_size for path in gathered.glob("*")):
        assert time.monotonic() < deadline
        time.sleep(0.002)


async def wait_sync(filed: Filed) -> None:
    """Sync as soon as the pair can: a service was just started."""
    deadline = time.monotonic() + 60
    while True:
        try:
            await filed.pair.sync()
        except SyncFailed:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
        else:
            return


async def test_a_returned_node_keeps_its_files_that_the_other_lacks(filed: Filed) -> None:
    """Switched over, written on both sides, and back: nothing that either had alone is lost."""
    pair = filed.pair
    async with pair.secondary.open_api() as api:
        await api.change_roles("/v1/switchover")
    filed.compare()
    write(filed.target / "letter.txt", "written on the secondary")
    write(filed.source / "letter.txt", "scribbled on the primary, which served before")
    write(filed.source / "only here", "unsent")
    async with pair.primary.open_api() as api:
        done = await pair.sync(pair.primary)
        (part,) = [part for part in done["components"] if part["component"] == NAME]
        assert part["kind"] == "compare"
        filed.compare()
        (rescue,) = (await api.get("/v1/rescues"))["items"]
        assert (rescue["kind"], rescue["folder"]) == ("files", str(filed.source))
        saved = {one["path"]: one for one in rescue["files"]}
        assert set(saved) == {"letter.txt", "only here"}
        url = f"/v1/rescues/{rescue['id']}/files/{saved['only here']['file']}"
    given = await asyncio.to_thread(ask_once, pair.primary.controller_url, pair.primary.token, "GET", url)
    assert given.content == b"unsent"
