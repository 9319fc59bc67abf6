"""Channels of notifications as settings: what is allowed, what a mask stands for, what another release knows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.standby_controller.pair_channels import MASK, MailChannel, WebhookChannel
from services.standby_controller.pair_document import (
    PairDocument,
    carry_unknown,
    changed_document,
    merge_patch,
    parse_document,
    revealed,
    stored_form,
    usable_document,
)
from shared.errors import ConfigRefused

ONE, TWO = "one@ops.example", "two@ops.example"
SECRET = "whsec_" + "A" * 40


def mail(port: int, **more: Any) -> dict[str, Any]:
    """Return the settings of a mail channel."""
    values = {"kind": "mail", "host": "localhost", "port": port, "security": "none", "sender": "wst@b.example"}
    return {**values, "recipients": [ONE, TWO], **more}


def hook_to(port: int, **more: Any) -> dict[str, Any]:
    """Return the settings of a webhook."""
    return {"kind": "webhook", "url": f"http://127.0.0.1:{port}/secret-path", **more}


def document(**channels: Any) -> dict[str, Any]:
    """Return a document with these channels."""
    return {"notifications": {"channels": channels}}


@pytest.mark.parametrize(
    ("channel", "named"),
    [
        ({"kind": "mail"}, "notifications.channels.new.mail.host"),
        ({"kind": "fax"}, "notifications.channels.new"),
        (mail(0), "notifications.channels.new.mail.port: 0: Input should be greater than or equal to 1"),
        (mail(25, recipients=[]), "recipients"),
        (mail(25, recipients=[ONE, ONE.upper()]), "recipients.1: 'one@ops.example' is there already"),
        (mail(25, recipients=["a@b\r\nBcc: c@d"]), "recipients.0"),
        (mail(25, sender="a@b\nX: y"), "sender"),
        (mail(25, host="m.example\r\nQUIT"), "host"),
        (mail(25, host="m.example", user="u", password="p"), "security: 'none' with a password"),
        (mail(25, user="u"), "password: null"),
        (mail(25, password="**********", user="u"), "password: ********** stands for what is stored"),
        (mail(25, include=["peer_lots"]), "include: 'peer_lots' is no kind of event; allowed are"),
        (mail(25, timeout_seconds=1000), "timeout_seconds: 1000: Input should be less than or equal to 120"),
        (hook_to(1, url="ftp://h/"), "url"),
        (hook_to(1, url="https://user:pw@h/"), "url"),
        (hook_to(1, url="https://h:99999/"), "url: not a URL"),
        (hook_to(1, secrets=["whsec_short"]), "secrets.0"),
        (hook_to(1, secrets=["**********"]), "secrets.0: ********** stands for what is stored"),
        (hook_to(1, headers={"X-A": "1\r\nX-B: 2"}), "headers.X-A"),
        (hook_to(1, headers={"Content-Type": "text/plain"}), "headers.Content-Type: this header is set by the sender"),
    ],
)
def test_a_bad_channel_is_refused_by_name(channel: dict[str, Any], named: str) -> None:
    """With what is allowed; no header can be smuggled in, no password goes in the clear."""
    with pytest.raises(ConfigRefused) as refused:
        changed_document(document(new=channel), PairDocument())
    assert named in refused.value.detail


@pytest.mark.parametrize(
    ("group", "named"),
    [
        ({"digest_at": "24:00"}, "notifications.digest_at"),
        ({"zone": "Mars/Olympus"}, "notifications.zone: 'Mars/Olympus' is no time zone"),
        ({"zone": "../etc/passwd"}, "notifications.zone"),
        ({"dead_man_url": "file:///etc"}, "notifications.dead_man_url"),
        ({"dead_man_seconds": 1}, "notifications.dead_man_seconds"),
        ({"fold_seconds": -1}, "notifications.fold_seconds"),
        ({"channels": {"A B": mail(25)}}, "notifications.channels"),
    ],
)
def test_a_bad_setting_of_notifications_is_refused_by_name(group: dict[str, Any], named: str) -> None:
    """As all settings are."""
    with pytest.raises(ConfigRefused, match=named):
        parse_document({"notifications": group})


FULL = (
    document(
        ops=mail(25, user="u", password="hidden-1"),
        hook=hook_to(80, secrets=[SECRET], headers={"X-Key": "hidden-2"}),
    )
    | {}
)
FULL["notifications"]["dead_man_url"] = "https://alive.example/hidden-3"


def test_a_dump_shows_no_secret_and_storage_keeps_them() -> None:
    """Nor does a repr; what is stored can be read again."""
    parsed = parse_document(FULL)
    shown = json.dumps(parsed.model_dump(mode="json")) + repr(parsed) + str(parsed) + parsed.model_dump_json()
    assert [secret for secret in ("hidden-", "secret-path", SECRET) if secret in shown] == []
    assert shown.count(MASK) >= 5
    assert parse_document(json.loads(json.dumps(stored_form(parsed)))) == parsed
    assert usable_document(stored_form(parsed)) == parsed


def test_what_is_shown_can_be_sent_back() -> None:
    """Whole or changed in parts: a mask keeps what is stored."""
    parsed = parse_document(FULL)
    assert changed_document(parsed.model_dump(mode="json"), parsed) == parsed
    patch = document(ops={"password": MASK, "port": 26}, hook={"headers": {"X-Key": MASK, "X-New": "n"}})
    changed = changed_document(merge_patch(revealed(parsed), patch), parsed).notifications.channels
    ops, hook = changed["ops"], changed["hook"]
    assert isinstance(ops, MailChannel)
    assert isinstance(hook, WebhookChannel)
    assert (ops.password, ops.port, hook.headers) == ("hidden-1", 26, {"X-Key": "hidden-2", "X-New": "n"})


def test_a_secret_is_rotated_without_being_known() -> None:
    """The new one goes before the mask of the old one; then its mask stands alone."""
    parsed, new = parse_document(FULL), "whsec_" + "B" * 40
    both = changed_document(merge_patch(revealed(parsed), document(hook={"secrets": [new, MASK]})), parsed)
    hook = both.notifications.channels["hook"]
    assert isinstance(hook, WebhookChannel)
    assert hook.secrets == (new, SECRET)
    alone = changed_document(merge_patch(revealed(both), document(hook={"secrets": [MASK]})), both)
    hook = alone.notifications.channels["hook"]
    assert isinstance(hook, WebhookChannel)
    assert hook.secrets == (new,)


@pytest.mark.parametrize(
    ("patch", "named"),
    [
        (document(hook={"url": f"https://elsewhere.example/{MASK}"}), "channels.hook.url"),
        (document(hook={"secrets": [MASK, MASK]}), "channels.hook.secrets.1"),
        (document(hook={"headers": {"X-Other": MASK}}), "channels.hook.headers.X-Other"),
        ({"notifications": {"dead_man_url": f"https://elsewhere.example/{MASK}"}}, "notifications.dead_man_url"),
    ],
)
def test_a_mask_of_something_else_is_refused(patch: dict[str, Any], named: str) -> None:
    """It would stand for nothing."""
    parsed = parse_document(FULL)
    with pytest.raises(ConfigRefused, match=named):
        changed_document(merge_patch(revealed(parsed), patch), parsed)


def test_a_channel_goes_with_null_and_others_stay() -> None:
    """As a merge patch says."""
    parsed = parse_document(FULL)
    changed = changed_document(merge_patch(revealed(parsed), document(ops=None)), parsed)
    assert set(changed.notifications.channels) == {"hook"}


def test_channels_of_another_release_are_carried() -> None:
    """One of a kind that is not known sends nothing here; what is known of one works; no change loses anything."""
    pager = {"kind": "pager", "number": 1}
    stored = document(pager=pager, ops={**mail(25), "novel": 1, "include": ["digest"]}, hook=hook_to(80))
    usable = usable_document(stored)
    assert set(usable.notifications.channels) == {"ops", "hook"}
    changed = changed_document(merge_patch(revealed(usable), document(hook=None, ops={"port": 26})), usable)
    after = carry_unknown(stored, stored_form(changed))["notifications"]["channels"]
    assert after["pager"] == pager
    assert (after["ops"]["novel"], after["ops"]["port"]) == (1, 26)
    assert "hook" not in after
