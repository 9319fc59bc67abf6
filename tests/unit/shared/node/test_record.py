"""The record survives what a disk and a machine do to it, and says so when it did not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from shared.errors import ConfigurationError, RecordUnwritable
from shared.node.model import State, Term
from shared.node.reasons import Reason
from shared.node.record import Record, RecordFile, RecordUnreadable

RECORD = Record(
    pair_id="lab",
    node_id="one",
    state=State.ACTIVE,
    reason=Reason.FIRST_NODE,
    term=Term(epoch=1, owner="one"),
    serial=3,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def store(folder: Path) -> RecordFile:
    return RecordFile(folder, pair_id="lab", node_id="one")


def save(folder: Path, record: Record = RECORD) -> Path:
    file = store(folder)
    file.load()
    file.save(record)
    file.close()
    return folder / "record.json"


def test_what_was_saved_is_loaded(folder: Path) -> None:
    save(folder)
    assert store(folder).load() == RECORD


def test_a_new_node_has_none_and_gets_a_folder_of_its_own(folder: Path) -> None:
    assert store(folder).load() is None
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_only_the_own_user_reads_the_record(folder: Path) -> None:
    assert stat.S_IMODE(save(folder).stat().st_mode) == 0o600


def test_nothing_is_left_beside_the_record(folder: Path) -> None:
    save(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["agent.lock", "record.json"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"state": "active"}', b"\xff\xfe", RECORD.model_dump_json()[:-9].encode()]
)
def test_an_unreadable_record_is_told_and_kept_aside(folder: Path, content: bytes) -> None:
    """A lost record is no new node: it must not be taken for one."""
    save(folder).write_bytes(content)
    with pytest.raises(RecordUnreadable):
        store(folder).load()
    assert (folder / "record.unreadable").read_bytes() == content


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"node_id": "two"}, "is the record of node two of the pair lab"),
        ({"pair_id": "other"}, "is the record of node one of the pair other"),
        ({"format": 2}, "was written by a newer release"),
    ],
)
def test_a_record_that_is_not_ours_stops_the_start(folder: Path, changes: dict[str, object], said: str) -> None:
    save(folder, RECORD.model_copy(update=changes))
    with pytest.raises(ConfigurationError, match=said):
        store(folder).load()


def test_one_folder_belongs_to_one_agent(folder: Path) -> None:
    first = store(folder)
    first.load()
    with pytest.raises(ConfigurationError, match="another agent uses this folder"):
        store(folder).load()
    first.close()
    store(folder).load()


def test_a_record_that_cannot_be_written_leaves_the_old_one(folder: Path) -> None:
    """A folder in the place of the temporary file stands for a full or broken disk."""
    path = save(folder)
    (folder / f".record.json.{os.getpid()}.new").mkdir()
    with pytest.raises(RecordUnwritable, match="Is a directory"):
        store(folder).save(RECORD.model_copy(update={"serial": 4}))
    assert Record.model_validate_json(path.read_bytes()) == RECORD


def test_a_state_folder_that_cannot_be_made_is_a_plain_line(tmp_path: Path, folder: Path) -> None:
    folder.mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="Not a directory"):
        RecordFile(tmp_path / "file" / "state", pair_id="lab", node_id="one").load()
