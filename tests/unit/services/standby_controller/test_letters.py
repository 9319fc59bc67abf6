"""What a letter and a CloudEvent say, whatever the event holds."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.standby_controller.notify.letters import Standing, cloud_event, write_letter
from services.standby_controller.policy.delivery import Delivery, DeliveryState
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent
from services.standby_controller.store.outbox import Parcel, public_id

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
WELL = Standing("pair", True)


def parcel(kind: EventKind, text: str = "It happened", **more: Any) -> Parcel:
    """Return an event on its way."""
    event = NewEvent(
        NOW, kind, Severity.WARNING, more.pop("subject", "a"), text, more.pop("data", {}), key="k", epoch=2
    )
    name = public_id("pair", event)
    delivery = Delivery("ops", name, DeliveryState.WAITING, NOW, NOW)
    return Parcel("1", name, "b", event, replace(delivery, **more))


@pytest.mark.parametrize(
    ("about", "standing", "subject"),
    [
        (parcel(EventKind.PEER_BACK), WELL, "[pair] b: node a answers again - protected"),
        (parcel(EventKind.PEER_LOST), Standing("pair", False), "[pair] b: node a does not answer - NOT PROTECTED"),
        (parcel(EventKind.PEER_LOST), Standing("pair", None), "[pair] b: node a does not answer - protection unknown"),
        (
            parcel(EventKind.TRANSITION_DONE, "The failover is done: b is active"),
            WELL,
            "[pair] b: The failover is done - protected",
        ),
        (
            parcel(EventKind.PEER_LOST, repeats={"peer_lost": 3, "peer_back": 2}),
            WELL,
            "[pair] b: node a does not answer (5 events) - protected",
        ),
    ],
)
def test_the_subject_says_node_what_and_protected_or_not(about: Parcel, standing: Standing, subject: str) -> None:
    """In this order, so that a list of letters can be read."""
    assert write_letter(about, standing).subject == subject


def test_a_letter_that_tells_of_several_events_counts_them() -> None:
    """Of each kind."""
    letter = write_letter(parcel(EventKind.PEER_LOST, repeats={"peer_lost": 3, "peer_back": 2}), WELL)
    assert "3 x node a does not answer; 2 x node a answers again" in letter.text


def test_details_are_said_in_lines() -> None:
    """Those inside others by their way; lists in one line."""
    data = {"rows": 3, "syncs": {"failed": 1, "none": None}, "reasons": ["one", "two"], "is_by_hand": True, "empty": []}
    text = write_letter(parcel(EventKind.DIGEST, data=data), WELL).text
    lines = {" ".join(line.split()) for line in text.splitlines()}
    assert {"rows: 3", "syncs.failed: 1", "reasons: one; two", "is_by_hand: true", "empty: none"} <= lines


@given(st.text(), st.text(), st.dictionaries(st.text(), st.text() | st.none() | st.integers()))
def test_no_event_breaks_a_letter(subject: str, text: str, data: dict[str, Any]) -> None:
    """No header can be added, no tag; both forms can be written and read."""
    about = parcel(EventKind.PEER_LOST, text, subject=subject, data=data)
    letter = write_letter(about, WELL)
    message = EmailMessage(policy=SMTP)
    message["Subject"] = letter.subject
    message["Message-ID"] = letter.message_id
    assert len(message.items()) == 2
    tags = letter.html.replace("<!DOCTYPE html>", "")
    for tag in ("p", "table", "tr", "td"):
        tags = tags.replace(f"<{tag}>", "").replace(f"</{tag}>", "")
    assert "<" not in tags
    event = json.loads(cloud_event(about, WELL))
    assert (event["data"]["text"], event["data"]["details"]) == (text, data)


def test_what_is_too_big_is_left_out() -> None:
    """The event itself is told."""
    event = json.loads(cloud_event(parcel(EventKind.CONFIG_CHANGED, data={"x": "y" * 100_000}), WELL))
    assert event["data"]["details"] == {"left_out": "too big; GET /v1/events has it"}
    long = write_letter(parcel(EventKind.CONFIG_CHANGED, data={f"k{n}": n for n in range(500)}), WELL)
    assert len(long.text.splitlines()) < 100
