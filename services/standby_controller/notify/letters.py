"""What is said of an event: subject, text and HTML of a letter, and the CloudEvent. No I/O, no addresses."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from services.standby_controller.policy.notice import title_of
from services.standby_controller.store.events import NewEvent
from services.standby_controller.store.outbox import Parcel
from shared.clock import format_instant

TYPE_PREFIX: Final = "warmstandby."
LONGEST_SUBJECT: Final = 180
MOST_DETAILS: Final = 60
BIGGEST_DATA_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Standing:
    """How the pair stands while a letter is written; None where that cannot be said."""

    pair_id: str
    is_protected: bool | None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter without its addresses."""

    message_id: str
    first_id: str
    """That of the first letter of its incident, which may be itself."""
    subject: str
    text: str
    html: str


def write_letter(parcel: Parcel, standing: Standing) -> Letter:
    """Return the letter that tells of an event, or of all that were held with it."""
    title = _title(parcel.event)
    times = sum(parcel.delivery.repeats.values())
    what = f"{title} ({times} events)" if times > 1 else title
    subject = f"[{standing.pair_id}] {parcel.node}: {what} - {_protection(standing)}"
    rows = tuple(_rows(parcel, standing))
    width = max(len(name) for name, _ in rows)
    lines = [f"{name + ':':<{width + 1}} {value}" for name, value in rows]
    text = "\n".join([_one_line(parcel.event.text), "", *lines, ""])
    cells = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in rows)
    return Letter(
        message_id=message_id(parcel.event_id, standing.pair_id),
        first_id=message_id(parcel.delivery.incident, standing.pair_id),
        subject=_one_line(subject)[:LONGEST_SUBJECT],
        text=text,
        html=f"<!DOCTYPE html>\n<p>{html.escape(parcel.event.text)}</p>\n<table>{cells}</table>\n",
    )


def message_id(event_id: str, pair_id: str) -> str:
    """Return the Message-ID of the letter about an event."""
    return f"<{quote(event_id, safe='/-_.')}@{quote(pair_id, safe='-_.')}.warmstandby>"


def cloud_event(parcel: Parcel, standing: Standing) -> bytes:
    """Return the event as a structured CloudEvent (JSON, version 1.0)."""
    event, repeats = parcel.event, dict(parcel.delivery.repeats)
    details: Any = event.data
    if len(json.dumps(details)) > BIGGEST_DATA_BYTES:
        details = {"left_out": "too big; GET /v1/events has it"}
    document = {
        "specversion": "1.0",
        "id": parcel.event_id,
        "source": f"/warmstandby/{quote(standing.pair_id, safe='')}/{quote(parcel.node, safe='')}",
        "type": TYPE_PREFIX + event.kind.value,
        "time": format_instant(event.at),
        "datacontenttype": "application/json",
        "data": {
            "pair": standing.pair_id,
            "node": parcel.node,
            "kind": event.kind.value,
            "severity": event.severity.value,
            "title": _title(event),
            "text": event.text,
            "protected": standing.is_protected,
            "reasons": list(standing.reasons),
            "incident": parcel.delivery.incident,
            "repeats": repeats,
            "details": details,
        },
    }
    if event.subject:
        document["subject"] = event.subject
    return json.dumps(document, ensure_ascii=False).encode()


def _title(event: NewEvent) -> str:
    if event.kind.value.startswith("transition_"):
        return event.text.partition(":")[0]  # it names the kind of transition and the node
    return title_of(event.kind.value, event.subject)


def _protection(standing: Standing) -> str:
    if standing.is_protected is None:
        return "protection unknown"
    return "protected" if standing.is_protected else "NOT PROTECTED"


def _rows(parcel: Parcel, standing: Standing) -> Iterator[tuple[str, str]]:
    event = parcel.event
    yield "pair", standing.pair_id
    yield "node", parcel.node
    yield "time", format_instant(event.at)
    yield "event", f"{event.kind.value} ({event.severity.value})"
    yield "now", " ".join((_protection(standing), *standing.reasons))
    repeats = parcel.delivery.repeats
    if sum(repeats.values()) > 1:
        counted = (f"{number} x {title_of(kind, event.subject)}" for kind, number in repeats.items())
        yield "told together", "; ".join(counted) + "; this is the last one"
    for number, (name, value) in enumerate(_details(event.data)):
        if number == MOST_DETAILS:
            yield "more", "GET /v1/events has it"
            return
        yield name, value
    yield "id", parcel.event_id


def _details(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        name = f"{prefix}{_one_line(str(key))}"
        if isinstance(value, Mapping):
            yield from _details(value, f"{name}.")
        elif isinstance(value, list | tuple):
            yield name, "; ".join(_one_line(str(item)) for item in value) or "none"
        elif value is not None:
            yield name, _one_line(str(value).lower() if isinstance(value, bool) else str(value))


def _one_line(text: str) -> str:
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
