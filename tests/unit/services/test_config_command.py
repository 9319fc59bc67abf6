"""`warmstandby config`: words become a patch, answers become lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.commands.config import describe_document, describe_preview, describe_saved, parse_changes
from services.standby_controller.pair_document import PairDocument, merge_patch, parse_document
from shared.errors import RequestError


@pytest.mark.parametrize(
    ("words", "patch"),
    [
        ([], {}),
        (["sync.run_every=PT6H", "sync.enabled=true"], {"sync": {"run_every": "PT6H", "enabled": True}}),
        (["sync.start_time=22:00"], {"sync": {"start_time": "22:00"}}),
        (["failover.data_age_limit_seconds=null"], {"failover": {"data_age_limit_seconds": None}}),
        (["failover.cooldown_seconds=1.5", "history.sync_days=30"],
         {"failover": {"cooldown_seconds": 1.5}, "history": {"sync_days": 30}}),
        (['a.b.c=["x"]', "a.b.d=x=y"], {"a": {"b": {"c": ["x"], "d": "x=y"}}}),
    ],
)  # fmt: skip
def test_words_become_a_patch(words: list[str], patch: dict[str, Any]) -> None:
    """A value is JSON, or else a word."""
    assert parse_changes(words) == patch


@pytest.mark.parametrize("words", [["sync"], ["run_every=PT6H"], ["sync.=1"], [".x=1"], ["a.b=1", "a.b.c=2"]])
def test_what_is_no_change_is_refused(words: list[str]) -> None:
    """With an example."""
    with pytest.raises(RequestError):
        parse_changes(words)


@pytest.mark.parametrize(
    "name",
    [
        "notifications.dead_man_url",
        "notifications.channels",
        "notifications.channels.ops",
        "notifications.channels.ops.password",
        "notifications.channels.ops.url",
        "notifications.channels.ops.secrets",
        "notifications.channels.ops.headers.Authorization",
    ],
)
def test_a_secret_comes_from_a_file_and_never_from_the_command_line(name: str, tmp_path: Path) -> None:
    """The process list shows command lines; what takes a channel away is no secret."""
    with pytest.raises(RequestError) as refused:
        parse_changes([f"{name}=hunter22"])
    assert "hunter22" not in f"{refused.value.detail} {refused.value.hint}"
    file = tmp_path / "value"
    file.write_text('"hunter22"\n')
    patch = parse_changes([f"{name}=@{file}"])
    assert "hunter22" in str(patch)
    assert "None" in str(parse_changes([f"{name}=null"]))
    with pytest.raises(RequestError, match=name):
        parse_changes([f"{name}=@{tmp_path / 'nothing'}"])


@pytest.mark.parametrize(
    ("word", "is_taken"),
    [
        ("password=**********", True),
        ("url=https://hooks.example/**********", True),
        ('secrets=["**********", "**********"]', True),
        ('secrets=["whsec_AAAA", "**********"]', False),
        ("url=https://hooks.example/T0P", False),
        ("url=https://me:hunter22@hooks.example/**********", False),
    ],
)
def test_a_mask_is_no_secret(word: str, *, is_taken: bool) -> None:
    """What is shown can be given back: it keeps what is stored."""
    change = f"notifications.channels.chat.{word}"
    if is_taken:
        assert "**********" in str(parse_changes([change]))
    else:
        with pytest.raises(RequestError):
            parse_changes([change])


def test_plain_settings_of_channels_are_given_as_they_are() -> None:
    """Only secrets are asked for in a file."""
    words = ["notifications.digest=false", "notifications.channels.ops.min_severity=warning"]
    assert parse_changes(words) == {
        "notifications": {"digest": False, "channels": {"ops": {"min_severity": "warning"}}}
    }


def test_what_is_shown_can_be_given_back() -> None:
    """Each line is a KEY=VALUE; anchors are set by the service and come back as they are."""
    document = PairDocument().model_dump(mode="json")
    lines = list(describe_document(document))
    assert "sync.run_every=PT1H" in lines
    assert "failover.data_age_limit_seconds=null" in lines
    assert parse_document(merge_patch(document, parse_changes(lines))) == PairDocument()


def test_a_preview_and_a_save_in_lines() -> None:
    """What would be refused comes first."""
    preview = {
        "refusal": {"code": "schedule_gap", "text": "too long"},
        "next_runs": [],
        "worst_case_data_loss_seconds": 3600.0,
        "worst_case_detection_seconds": 18.0,
        "warnings": [{"code": "schedule_off", "text": "off"}],
    }
    lines = list(describe_preview(preview))
    assert (lines[0], lines[1], lines[-1]) == ("would be refused: too long", "next syncs: none", "warning: off")
    saved = {"epoch": 1, "version": 2, "changed_on": "b", "not_yet_on": ["a"], "next_run": {"at": None, "why": "retry"}}
    assert list(describe_saved(saved)) == [
        "saved as version 1.2.b", "not yet on a, which does not answer", "next sync: now (retry)",
    ]  # fmt: skip
