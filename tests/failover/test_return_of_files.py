"""The active node dies with files that no sync has seen: its standby serves with its own, the return saves those."""

from __future__ import annotations

from pathlib import Path

from lab.pair import Pair
from lab.people import Json
from tests.failover.conftest import Open
from tests.failover.stage import Stage
from tests.integration.files.stage import snapshot, write

NAME = "papers"


class Folders:
    """A folder for each node, in its configuration."""

    def __init__(self, place: Path) -> None:
        self.primary, self.secondary = place / "first", place / "second"

    async def prepare(self, pair: Pair) -> None:
        """Make both, with a letter in the first."""
        for node, folder in zip(pair.nodes, (self.primary, self.secondary), strict=True):
            folder.mkdir()
            with node.config.open("a", encoding="utf-8") as config:
                config.write(f'\n[[file_sets]]\nname = "{NAME}"\npath = "{folder}"\n')
        write(self.primary / "letter", "dear all")


async def return_by_hand(stage: Stage) -> Json:
    """Approve the primary's return, see it through, and return what its sync did to the files."""
    change = await stage.until(lambda: stage.change(stage.primary, "/v1/resync", {"reason": "test"}), "it is back")
    assert change["failure"] is None, f"{change}\n{stage.pair.log_tail()}"
    await stage.becomes(stage.primary, "standby")
    sync = (await stage.ask(stage.primary, "GET", "/v1/syncs?limit=1"))["items"][0]
    part: Json
    (part,) = [part for part in sync["components"] if part["component"] == NAME]
    return part


async def test_files_of_a_dead_host_are_saved_when_it_returns(open_pair: Open, tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    async with open_pair(prepare=folders.prepare) as stage:
        assert snapshot(folders.secondary) == snapshot(folders.primary)
        write(folders.primary / "letter", "never synced")
        await stage.kill_host(stage.primary)
        await stage.becomes(stage.secondary, "active")
        assert (folders.secondary / "letter").read_text() == "dear all"
        write(folders.secondary / "answer", "written where the application serves now")
        await stage.boot_host(stage.primary)
        await stage.becomes(stage.primary, "fenced")
        assert (folders.primary / "letter").read_text() == "never synced"
        part = await return_by_hand(stage)
        assert part["kind"] == "compare"
        assert snapshot(folders.primary) == snapshot(folders.secondary)
        (rescue,) = [
            one for one in (await stage.ask(stage.primary, "GET", "/v1/rescues"))["items"] if one["kind"] == "files"
        ]
        assert [one["path"] for one in rescue["files"]] == ["letter"]
        await stage.is_protected()
        assert (await stage.change(stage.primary, "/v1/switchover"))["failure"] is None
        write(folders.primary / "letter", "again")
        await stage.sync(stage.secondary)
        assert snapshot(folders.secondary) == snapshot(folders.primary)
