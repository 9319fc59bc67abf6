"""The pair's configuration: what is allowed, and how a part of it is changed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.standby_controller.pair_document import (
    PairDocument,
    carry_unknown,
    merge_patch,
    parse_document,
    usable_document,
)
from shared.errors import ConfigRefused


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        # The examples of RFC 7396, appendix A.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_patch_is_merged_as_the_standard_says(target: Any, patch: Any, expected: Any) -> None:
    """JSON merge patch."""
    assert merge_patch(target, patch) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values, json_values)
def test_a_patch_twice_is_a_patch_once(target: Any, patch: Any) -> None:
    """A change that is sent again changes nothing, and never alters its arguments."""
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"sync": {"run_every": "PT1M"}}, "accept_short_interval"),
        ({"sync": {"run_every": "PT0S", "accept_short_interval": True}}, "sync.run_every"),
        ({"sync": {"run_every": "P32D"}}, "sync.run_every.*2678400"),
        ({"sync": {"run_every": 3600}}, "sync.run_every"),
        ({"sync": {"interval_seconds": "3600"}}, "sync.interval_seconds"),
        ({"sync": {"start_time": "24:00"}}, "sync.start_time: .24:00"),
        ({"sync": {"time_zone": "Europe/Atlantis"}}, "sync.time_zone.*Europe/Berlin"),
        ({"sync": {"first_run": "soon"}}, "sync.first_run.*next_on_grid"),
        ({"sync": {"run_every": "PT6H"}, "failover": {"data_age_limit_seconds": 7200}}, "data_age_limit_seconds: 7200"),
        ({"sync": {"intervall": 1}}, "sync.intervall"),
        ({"history": {"sync_days": 0}}, "history.sync_days"),
        ({"surprise": 1}, "surprise"),
        ([], "document"),
    ],
)
def test_a_bad_value_is_refused_by_name(value: Any, named: str) -> None:
    """The message names the key, so that people find it."""
    with pytest.raises(ConfigRefused, match=named):
        parse_document(value)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"sync": {"run_every": "PT60M", "start_time": "13:00", "time_zone": "Asia/Kathmandu"}},
        {"sync": {"run_every": "PT2S", "accept_short_interval": True}},
        {"sync": {"anchor_at": "2026-03-01T13:00:00Z", "first_at": "2026-03-01T13:00:00.25Z"}},
        {"sync": {"enabled": False}},
    ],
)
def test_a_good_value_survives_writing_and_reading(value: Any) -> None:
    """What is stored leaves defaults out, so that a later release may change them."""
    document = parse_document(value)
    assert parse_document(document.model_dump(mode="json", exclude_defaults=True)) == document
    assert parse_document(document.model_dump(mode="json")) == document


def test_the_default_interval_is_an_hour() -> None:
    """The users asked for it."""
    assert PairDocument().sync.interval_seconds == 3600


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({"sync": {"run_every": "PT2H", "novel": 1}, "novel": {}}, {"sync": {"run_every": "PT2H"}}),
        ({"sync": {"interval_seconds": 7200}}, {"sync": {"run_every": "PT2H"}}),
        ({"sync": {"interval_seconds": 5400, "accept_short_interval": 1}}, {"sync": {"run_every": "PT90M"}}),
        ({"sync": {"run_every": "soon", "enabled": False}}, {"sync": {"enabled": False}}),
        ({"sync": 1}, {}),
        ([], {}),
    ],
)
def test_what_another_release_stored_is_used_as_far_as_it_is_understood(stored: Any, expected: Any) -> None:
    """The rest has its defaults; a service that runs is not stopped by it."""
    assert usable_document(stored) == parse_document(expected)


@pytest.mark.parametrize(
    ("value", "failures"),
    [
        ({"monitor": {"misses_until_lost": 5}}, 5),
        ({"monitor": {"misses_until_lost": 5}, "failover": {"policy": "keep_in_standby"}}, 5),
        ({"monitor": {"misses_until_lost": 5}, "failover": {"failures": 4}}, 5),  # who still sends it means it
        ({"failover": {"failures": 4}}, 4),
        ({}, 3),
    ],
)
def test_the_old_name_of_failures_still_counts(value: Any, failures: int) -> None:
    """Documents of earlier releases hold it; it is written no more."""
    document = parse_document(value)
    assert document.failover.failures == failures
    assert "misses_until_lost" not in document.model_dump(mode="json")["monitor"]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"failover": {"policy": "perhaps"}}, "failover.policy"),
        ({"failover": {"failures": 0}}, "failover.failures"),
        ({"failover": {"recheck_seconds": 0}}, "failover.recheck_seconds"),
        ({"failover": {"armed": "yes"}}, "failover.armed"),
        ({"failover": {"data_age_limit_seconds": 0}}, "failover.data_age_limit_seconds"),
        ({"monitor": {"misses_until_lost": 0}}, "failover.failures"),
        ({"monitor": {"misses_until_lost": 3}, "failover": 1}, "failover"),
    ],
)
def test_a_bad_failover_setting_is_refused_by_name(value: Any, named: str) -> None:
    """Also one that came under its old name."""
    with pytest.raises(ConfigRefused, match=named):
        parse_document(value)


def test_the_limit_of_the_offset_is_not_under_its_warning() -> None:
    """Both are named; a document of a release that knew no limit is used as it is."""
    with pytest.raises(
        ConfigRefused, match=r"offset_limit_seconds \(10\) is under monitor.offset_warning_seconds \(60\)"
    ):
        parse_document({"monitor": {"offset_warning_seconds": 60}})
    assert parse_document({"monitor": {"offset_warning_seconds": 10}}).monitor.offset_limit_seconds == 10
    stored = usable_document({"monitor": {"offset_warning_seconds": 60}})
    assert (stored.monitor.offset_warning_seconds, stored.monitor.offset_limit_seconds) == (60, 60)
    assert parse_document(stored.model_dump(mode="json")) == stored


def test_a_change_keeps_what_only_another_release_knows() -> None:
    """A pair whose nodes are updated one after the other loses no setting."""
    before = {"sync": {"run_every": "PT2H", "novel": 1}, "newer": {"x": 1}, "history": {"odd": 2}}
    after = parse_document({"sync": {"enabled": False}}).model_dump(mode="json", exclude_defaults=True)
    assert carry_unknown(before, after) == {
        "sync": {"enabled": False, "novel": 1},
        "newer": {"x": 1},
        "history": {"odd": 2},
    }
    assert carry_unknown([], after) == after
