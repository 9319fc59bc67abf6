"""One letter, one webhook: servers that take it, refuse it, are silent, slow, gone, or refuse one of three."""

from __future__ import annotations

import base64
import json
import os
import ssl
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from lab import ports
from services.standby_controller.notify.addresses import outward_context
from services.standby_controller.notify.letters import Standing, cloud_event, write_letter
from services.standby_controller.notify.mail import send_letter
from services.standby_controller.notify.webhook import call, post_event
from services.standby_controller.pair_channels import MailChannel, WebhookChannel
from services.standby_controller.policy.delivery import Delivery, DeliveryState, Outcome
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent
from services.standby_controller.store.outbox import Parcel, public_id
from tests.integration.standby_controller.receivers import (
    PASSWORD,
    USER,
    Hook,
    Mailbox,
    black_hole,
    mail_server,
    webhook_server,
)

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
EVENT = NewEvent(NOW, EventKind.PEER_LOST, Severity.CRITICAL, "a", "Node a does not answer: über", key="k1", epoch=3)
PARCEL = Parcel(
    "1",
    public_id("pair", EVENT),
    "b",
    EVENT,
    Delivery("ops", public_id("pair", EVENT), DeliveryState.WAITING, NOW, NOW),
)
STANDING = Standing("pair", False, ("The copy is too old.",))
THREE = ("one@ops.example", "two@ops.example", "three@ops.example")


def secret() -> str:
    """Make a signing secret."""
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


def mail(port: int, **more: Any) -> MailChannel:
    """Return a channel to a server of this machine."""
    values = {"kind": "mail", "host": "localhost", "port": port, "security": "none", "sender": "wst@b.example"}
    return MailChannel.model_validate({**values, "recipients": THREE, **more})


async def send(channel: MailChannel, ca: Path | None = None, recipients: tuple[str, ...] = THREE) -> Outcome:
    """Send the letter about the event."""
    letter = write_letter(PARCEL, STANDING)
    return await send_letter(channel, letter, recipients, context=outward_context(ca), now=NOW)


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    """An authority, and the file of its certificate."""
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made, tmp_path / "ca.pem"


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_letter_arrives_encrypted_and_after_a_login(authority: tuple[trustme.CA, Path], security: str) -> None:
    """As text and as HTML, marked as automatic, with a Message-ID that is made of the event."""
    mailbox = Mailbox()
    with mail_server(mailbox, authority=authority[0], is_tls=security == "tls") as port:
        outcome = await send(mail(port, security=security, user=USER, password=PASSWORD), authority[1])
    assert outcome == Outcome(delivered=THREE)
    ((recipients, letter),) = mailbox.letters
    assert (recipients, mailbox.logins) == (THREE, ["right"])
    assert letter["Subject"] == "[pair] b: node a does not answer - NOT PROTECTED"
    assert (letter["Message-ID"], letter["In-Reply-To"]) == ("<pair/3/peer_lost/k1@pair.warmstandby>", None)
    assert letter["Auto-Submitted"] == "auto-generated"
    text, page = letter.get_body(("plain",)), letter.get_body(("html",))
    assert text is not None
    assert page is not None
    assert "Node a does not answer: über" in text.get_content()
    assert "The copy is too old." in page.get_content()


async def test_a_server_that_cannot_be_trusted_gets_no_password(authority: tuple[trustme.CA, Path]) -> None:
    """A certificate of an unknown authority, a wrong password, a server without STARTTLS: each is said in words."""
    mailbox = Mailbox()
    with mail_server(mailbox, authority=authority[0]) as port:
        unknown = await send(mail(port, security="starttls", user=USER, password=PASSWORD))
        wrong = await send(mail(port, security="starttls", user=USER, password="wrong"), authority[1])
    with mail_server(mailbox) as port:
        bare = await send(mail(port, security="starttls"), authority[1])
    assert "certificate verify failed" in str(unknown.problem)
    assert str(wrong.problem).startswith("535")
    assert "STARTTLS" in str(bare.problem)
    assert (mailbox.letters, set(mailbox.logins)) == ([], {"wrong"})
    assert not any(outcome.is_final for outcome in (unknown, wrong, bare))


async def test_one_of_three_recipients_is_refused() -> None:
    """For ever, or for now: the others have the letter, and only who is left gets it the next time."""
    mailbox = Mailbox(answers={THREE[1]: "550 no such user"})
    with mail_server(mailbox) as port:
        outcome = await send(mail(port))
        assert outcome == Outcome(delivered=(THREE[0], THREE[2]), refused={THREE[1]: "550 no such user"})
        mailbox.answers = {THREE[1]: "451 try later"}
        outcome = await send(mail(port))
        assert (outcome.delivered, outcome.refused) == ((THREE[0], THREE[2]), {})
        assert outcome.problem == "two@ops.example: 451 try later"
        mailbox.answers = {}
        assert await send(mail(port), recipients=(THREE[1],)) == Outcome(delivered=(THREE[1],))
    assert [recipients for recipients, _ in mailbox.letters] == [(THREE[0], THREE[2])] * 2 + [(THREE[1],)]


async def test_all_recipients_or_the_letter_are_refused() -> None:
    """5xx is the end of it, 4xx is not."""
    mailbox = Mailbox(answers=dict.fromkeys(THREE, "550 no"))
    with mail_server(mailbox) as port:
        assert await send(mail(port)) == Outcome(refused=dict.fromkeys(THREE, "550 no"))
        mailbox.answers, mailbox.data_answer = {}, "554 looks like spam"
        assert await send(mail(port)) == Outcome(problem="554 looks like spam", is_final=True)
        mailbox.data_answer = "452 disk full"
        assert await send(mail(port)) == Outcome(problem="452 disk full")


async def test_a_mail_server_that_is_away_silent_or_slow_costs_no_more_than_the_limit() -> None:
    """Refused at once; a black hole until the limit; a slow one within it is well."""
    nobody = ports.reserve_port()
    refused = await send(mail(nobody))
    ports.release_port(nobody)
    assert refused.problem == "localhost: Connection refused"
    with black_hole() as (port, calls):
        silent = await send(mail(port, timeout_seconds=1))
        assert (silent.problem, calls()) == ("localhost did not answer within 1 s", 1)
    mailbox = Mailbox(pause_seconds=0.5)
    with mail_server(mailbox) as port:
        assert await send(mail(port, timeout_seconds=10)) == Outcome(delivered=THREE)
        mailbox.pause_seconds = 3
        assert (await send(mail(port, timeout_seconds=1))).problem == "localhost did not answer within 1 s"
    assert (await send(mail(25, host="nowhere.invalid"))).problem is not None


async def test_letters_of_an_incident_are_a_thread() -> None:
    """Each names the first."""
    mailbox = Mailbox()
    back = replace(EVENT, kind=EventKind.PEER_BACK, key="k2")
    second = Parcel("2", public_id("pair", back), "b", back, replace(PARCEL.delivery, repeats={"peer_back": 3}))
    with mail_server(mailbox) as port:
        letter = write_letter(second, STANDING)
        await send_letter(mail(port), letter, THREE, context=outward_context(None), now=NOW)
    ((_, got),) = mailbox.letters
    assert got["In-Reply-To"] == got["References"] == "<pair/3/peer_lost/k1@pair.warmstandby>"
    assert got["Message-ID"] == "<pair/3/peer_back/k2@pair.warmstandby>"
    assert "(3 events)" in got["Subject"]


def hook_channel(port: int, **more: Any) -> WebhookChannel:
    """Return a channel to a receiver of this machine."""
    return WebhookChannel.model_validate({"kind": "webhook", "url": f"http://localhost:{port}/in?x=1", **more})


async def post(channel: WebhookChannel, ca: Path | None = None) -> Outcome:
    """Post the event."""
    body, now = cloud_event(PARCEL, STANDING), datetime.now(UTC)
    return await post_event(channel, body, PARCEL.event_id, context=outward_context(ca), now=now)


async def test_a_webhook_is_verified_by_an_independent_receiver() -> None:
    """While the secret is changed both the old and the new one fit; another fits not."""
    hook, old, new = Hook(), secret(), secret()
    with webhook_server(hook) as port:
        outcome = await post(hook_channel(port, secrets=(new, old), headers={"X-Team": "ops"}))
    assert outcome == Outcome()
    ((path, headers, body),) = hook.got
    event = Webhook(old).verify(body, headers)
    assert Webhook(new).verify(body, headers) == event
    with pytest.raises(WebhookVerificationError):
        Webhook(secret()).verify(body, headers)
    assert (path, headers["x-team"], headers["host"]) == ("/in?x=1", "ops", f"localhost:{port}")
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert headers["webhook-id"] == event["id"] == "pair/3/peer_lost/k1"
    assert (event["specversion"], event["source"], event["type"]) == (
        "1.0",
        "/warmstandby/pair/b",
        "warmstandby.peer_lost",
    )
    assert (event["time"], event["subject"]) == ("2026-01-31T09:30:00.000000Z", "a")
    assert event["data"]["text"] == "Node a does not answer: über"
    assert json.loads(body)["data"]["protected"] is False


@pytest.mark.parametrize(
    ("status", "problem", "is_final"),
    [
        (302, "the receiver answered 302; redirects are not followed", False),
        (400, "the receiver answered 400", False),
        (410, "the receiver answered 410", True),
        (503, "the receiver answered 503", False),
    ],
)
async def test_what_a_receiver_answers_is_the_problem(status: int, problem: str, is_final: bool) -> None:
    """Only one that is gone is not asked again."""
    hook = Hook(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})
    with webhook_server(hook) as port:
        assert await post(hook_channel(port)) == Outcome(problem=problem, is_final=is_final)
    assert [path for path, _, _ in hook.got] == ["/in?x=1"]


async def test_a_webhook_by_tls_is_trusted_by_its_name(authority: tuple[trustme.CA, Path]) -> None:
    """By the pair's authority; without it nothing is sent."""
    hook, context = Hook(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority[0].issue_cert("localhost").configure_cert(context)
    with webhook_server(hook, context=context) as port:
        channel = hook_channel(port, url=f"https://localhost:{port}/in")
        assert await post(channel, authority[1]) == Outcome()
        assert "certificate verify failed" in str((await post(channel)).problem)
        by_address = hook_channel(port, url=f"https://127.0.0.1:{port}/in")
        assert "certificate" in str((await post(by_address, authority[1])).problem)
    assert len(hook.got) == 1


async def test_a_receiver_that_is_away_or_silent_costs_no_more_than_the_limit() -> None:
    """Also where it takes the call and never answers; the switch of a dead man is called likewise."""
    nobody = ports.reserve_port()
    assert (await post(hook_channel(nobody))).problem == "localhost: Connection refused"
    ports.release_port(nobody)
    with black_hole() as (port, calls):
        outcome = await post(hook_channel(port, timeout_seconds=1))
        assert (outcome.problem, calls()) == ("localhost did not answer within 1 s", 1)
        problem = await call(f"http://localhost:{port}/", seconds=0.5, context=outward_context(None))
        assert problem == "localhost did not answer within 0.5 s"
