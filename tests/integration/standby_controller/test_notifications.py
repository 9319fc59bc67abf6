"""The outbox of a controller: what is sent, tried again, folded, given up, sent again."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import trustme
from standardwebhooks.webhooks import Webhook

from lab import ports
from tests.integration.standby_controller.posting import ONE, SECRET, THREE, TWO, back, hook_to, lost, mail, post
from tests.integration.standby_controller.receivers import (
    PASSWORD,
    USER,
    Hook,
    Mailbox,
    black_hole,
    mail_server,
    webhook_server,
)
from tests.integration.standby_controller.stage import eventually


async def test_an_event_reaches_everybody_once(newest_dsn: str, tmp_path: Path) -> None:
    """By a mail with STARTTLS and login, and by a webhook; both call it by the same name."""
    authority, mailbox, hook = trustme.CA(), Mailbox(), Hook()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with mail_server(mailbox, authority=authority) as smtp, webhook_server(hook) as http:
        ops = mail(smtp, security="starttls", user=USER, password=PASSWORD)
        channels = {"ops": ops, "hook": hook_to(http, secrets=[SECRET])}
        async with post(newest_dsn, tmp_path, channels, tmp_path / "ca.pem") as it:
            event = lost()
            await it.tell(event, event)
            found = await it.are("sent", "sent")
            assert {one["event_id"] for one in found} == {f"pair/1/peer_lost/{event.key}"}
            assert [one["delivered"] for one in found if one["channel"] == "ops"] == [[ONE, TWO, THREE]]
            assert (await it.channel("ops"))["last_success_at"] is not None
    ((recipients, letter),) = mailbox.letters
    assert (recipients, mailbox.were_encrypted) == ((ONE, TWO, THREE), [True])
    assert letter["Subject"].startswith("[pair] b: node a does not answer - ")
    ((_, headers, body),) = hook.got
    assert Webhook(SECRET).verify(body, headers)["id"] == f"pair/1/peer_lost/{event.key}"
    assert letter["Message-ID"] == f"<pair/1/peer_lost/{event.key}@pair.warmstandby>"


async def test_a_channel_that_is_refused_is_tried_again_and_told_of_by_the_others(
    newest_dsn: str, tmp_path: Path
) -> None:
    """After several failures; when the server is there all is sent at once, and the others hear that, too."""
    hook, mailbox, port = Hook(), Mailbox(), ports.reserve_port()
    with webhook_server(hook) as http:
        async with post(newest_dsn, tmp_path, {"ops": mail(port), "hook": hook_to(http)}) as it:
            await it.tell(lost("a"), lost("x"), lost("y"))
            ops = await it.are("waiting", "waiting", "waiting", query="&channel=ops")

            async def has_failed() -> bool:
                channel = await it.channel("ops")
                return bool(channel["is_failing"]) and channel["last_problem"] == "localhost: Connection refused"

            await eventually(has_failed)
            ops = await it.items("&channel=ops")
            assert any(one["problem"] == "localhost: Connection refused" and one["attempts"] == 1 for one in ops)
            first = next(one for one in ops if one["attempts"])
            pause = datetime.fromisoformat(first["next_attempt_at"]) - datetime.fromisoformat(first["queued_at"])
            assert timedelta(seconds=7) < pause < timedelta(seconds=15)
            assert "channel_failing" in [one["code"] for one in (await it.stage.get("/v1/status"))["advisories"]]
            with mail_server(mailbox, port=port):
                await it.hurry()
                await it.are("sent", "sent", "sent", query="&channel=ops")
            assert "channel_failing" not in [one["code"] for one in (await it.stage.get("/v1/status"))["advisories"]]
            await it.are("sent", "sent", "sent", "sent", "sent", query="&channel=hook")
    ports.release_port(port)
    assert len(mailbox.letters) == 3
    kinds = [json.loads(body)["type"].removeprefix("warmstandby.") for body in hook.bodies()]
    assert kinds == ["peer_lost", "peer_lost", "peer_lost", "channel_failing", "channel_working"]


async def test_one_recipient_of_three_costs_the_others_nothing(newest_dsn: str, tmp_path: Path) -> None:
    """Refused for now: only that one gets it again. Refused for ever: it is dead, seen, and sent again when mended."""
    mailbox = Mailbox(answers={TWO: "451 later"})
    with mail_server(mailbox) as smtp:
        async with post(newest_dsn, tmp_path, {"ops": mail(smtp)}) as it:
            await it.tell(lost())
            (waiting,) = await it.are("waiting")
            await eventually(lambda: _has(mailbox, 1))
            await it.hurry()
            (waiting,) = await it.are("waiting")
            assert (waiting["delivered"], waiting["problem"]) == ([ONE, THREE], f"{TWO}: 451 later")
            mailbox.answers = {TWO: "550 no such user"}
            await it.hurry()
            (dead,) = await it.are("dead")
            assert (dead["refused"], dead["next_attempt_at"]) == ({TWO: "550 no such user"}, None)
            assert await it.items("&state=dead&channel=ops") == [dead]
            mailbox.answers = {}
            again = await it.stage.post(f"/v1/notifications/{dead['id']}/resend")
            assert (again["state"], again["refused"]) == ("waiting", {})
            (sent,) = await it.are("sent")
            assert sent["delivered"] == [ONE, THREE, TWO]
            refused = await it.stage.post(f"/v1/notifications/{dead['id']}/resend", expect=409)
            assert refused["code"] == "notification_not_dead"
            await it.stage.post("/v1/notifications/999999/resend", expect=404)
    assert [recipients for recipients, _ in mailbox.letters] == [(ONE, THREE), (TWO,)]


async def _has(mailbox: Mailbox, count: int) -> bool:
    return len(mailbox.letters) >= count


async def test_a_channel_that_hangs_holds_up_no_other(newest_dsn: str, tmp_path: Path) -> None:
    """A black hole beside one that works; the API answers meanwhile, and the letter waits for its next attempt."""
    hook = Hook()
    with black_hole() as (hole, calls), webhook_server(hook) as http:
        channels = {"hole": mail(hole, timeout_seconds=2), "hook": hook_to(http)}
        async with post(newest_dsn, tmp_path, channels) as it:
            await it.tell(lost())
            await it.are("sent", query="&channel=hook")
            (waiting,) = await it.are("waiting", query="&channel=hole")

            async def was_tried() -> bool:
                return bool((await it.items("&channel=hole"))[0]["problem"])

            await eventually(was_tried)
            (waiting,) = await it.items("&channel=hole")
            assert (waiting["problem"], calls()) == ("localhost did not answer within 2 s", 1)


async def test_what_is_given_up_is_dead_and_can_be_sent_again(newest_dsn: str, tmp_path: Path) -> None:
    """After the hours of the settings; or at once, where the receiver says that it is gone."""
    hook, nobody = Hook(status=410), ports.reserve_port()
    with webhook_server(hook) as http:
        async with post(newest_dsn, tmp_path, {"gone": hook_to(http), "away": mail(nobody)}) as it:
            await it.tell(lost())
            (gone,) = await it.are("dead", query="&channel=gone")
            assert gone["problem"] == "the receiver answered 410"
            await it.are("waiting", query="&channel=away")
            await it.stage.parts.database.execute(
                "UPDATE control.outbox SET queued_at = now() - interval '25 hours', next_attempt_at = now()"
                " WHERE channel = 'away'"
            )
            (away,) = await it.are("dead", query="&channel=away")
            assert away["problem"] == "localhost: Connection refused"

            async def are_counted() -> bool:
                return [(await it.channel(name))["dead"] for name in ("gone", "away")] == [1, 1]

            await eventually(are_counted)
            hook.status = 200
            await it.stage.post(f"/v1/notifications/{gone['id']}/resend")
            await it.are("sent", query="&channel=gone")
            await it.change({"channels": {"away": None}})
            refused = await it.stage.post(f"/v1/notifications/{away['id']}/resend", expect=404)
            assert refused["detail"] == "there is no channel 'away' any more"
    ports.release_port(nobody)


async def test_a_heartbeat_that_flaps_gives_few_letters(newest_dsn: str, tmp_path: Path) -> None:
    """Of 500 events the first of each kind goes out, the others are told as one that counts them, in one thread."""
    mailbox = Mailbox()
    with mail_server(mailbox) as smtp:
        async with post(newest_dsn, tmp_path, {"ops": mail(smtp)}) as it:
            for _ in range(250):
                await it.tell(lost(), back())
            await eventually(lambda: _has(mailbox, 2))

            async def are_sorted() -> bool:
                left = await it.stage.parts.database.fetch_row("SELECT count(*) AS n FROM control.outbox_unsorted")
                return left is not None and left["n"] == 0

            await eventually(are_sorted)
            await it.hurry()
            await eventually(lambda: _has(mailbox, 3))
            folded = await it.items("&state=folded")
            assert len(folded) == 200  # a page
            (carrier,) = [one for one in await it.items("&state=sent") if one["repeats"]]
            assert carrier["repeats"] == {"peer_lost": 249, "peer_back": 249}
    assert len(mailbox.letters) == 3
    first, *others = [letter for _, letter in mailbox.letters]
    assert first["In-Reply-To"] is None
    assert {letter["References"] for letter in others} == {first["Message-ID"]}
    assert "(498 events)" in mailbox.subjects[-1]
