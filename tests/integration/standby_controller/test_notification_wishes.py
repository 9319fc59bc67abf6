"""Who hears what, and who may ask for it: filters, tests of a channel, secrets, the digest, the dead man's switch."""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab import ports
from services.standby_controller.pair_channels import MailChannel, WebhookChannel
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent
from services.standby_controller.store.tokens import Role
from tests.integration.standby_controller.posting import SECRET, TWO, Post, back, hook_to, lost, mail, post
from tests.integration.standby_controller.receivers import (
    Hook,
    Mailbox,
    black_hole,
    mail_server,
    webhook_server,
)
from tests.integration.standby_controller.stage import eventually, open_stage


async def test_filters_say_who_hears_what(newest_dsn: str, tmp_path: Path) -> None:
    """Severity, kinds besides, kinds never; a completed sync only where it ends failures, or is asked for."""
    hook = Hook()
    now = datetime.now(UTC)
    good = NewEvent(now, EventKind.SYNC_SUCCEEDED, Severity.INFO, "b.1", "Sync b.1 succeeded")
    bad = NewEvent(now, EventKind.SYNC_FAILED, Severity.WARNING, "b.2", "Sync b.2 failed")
    mended = NewEvent(now, EventKind.SYNC_SUCCEEDED, Severity.INFO, "b.3", "Sync b.3 succeeded")
    with webhook_server(hook) as http:
        channels = {
            "all": hook_to(http),
            "grave": hook_to(http, min_severity="critical"),
            "syncs": hook_to(http, include=["sync_succeeded"], exclude=["peer_lost", "sync_failed"]),
            "off": hook_to(http, enabled=False),
        }
        async with post(newest_dsn, tmp_path, channels) as it:
            await it.tell(good, bad, mended, lost(), back())
            await it.are("sent", "sent", "sent", "sent", query="&channel=all")
            heard = {
                name: [one["subject"] for one in await it.items(f"&channel={name}") if one["kind"] != "peer_back"]
                for name in channels
            }
            assert heard == {"all": ["b.2", "b.3", "a"], "grave": ["a"], "syncs": ["b.1", "b.3"], "off": []}
            assert [one["kind"] for one in await it.items("&channel=grave")] == ["peer_lost", "peer_back"]
            await it.change({"channels": {"all": None}})
            assert [one["name"] for one in (await it.stage.get("/v1/notifications/channels"))["items"]] == [
                "grave",
                "off",
                "syncs",
            ]


async def test_a_channel_that_is_taken_away_sends_nothing_more(newest_dsn: str, tmp_path: Path) -> None:
    """What waited for it is dropped; what it sent is still shown."""
    nobody = ports.reserve_port()
    async with post(newest_dsn, tmp_path, {"ops": mail(nobody)}) as it:
        await it.tell(lost())
        await it.are("waiting")
        await it.change({"channels": {"ops": None}})
        await it.are()
        codes = [one["code"] for one in (await it.stage.get("/v1/status"))["advisories"]]
        assert "no_channel" in codes
    ports.release_port(nobody)


async def test_a_test_goes_out_at_once_and_says_what_came_of_it(newest_dsn: str, tmp_path: Path) -> None:
    """One channel by name, also one that is off, or all that are on; viewers may not."""
    hook, mailbox = Hook(), Mailbox(answers={TWO: "550 no"})
    with webhook_server(hook) as http, mail_server(mailbox) as smtp, black_hole() as (hole, _):
        channels = {"hook": hook_to(http), "ops": mail(smtp), "off": hook_to(hole, enabled=False, timeout_seconds=1)}
        async with post(newest_dsn, tmp_path, channels) as it:
            told = await it.stage.post("/v1/notifications/test", json={}, expect=200)
            results = {one["channel"]: one for one in told["results"]}
            assert results.keys() == {"hook", "ops"}
            assert results["hook"] == {
                "channel": "hook",
                "is_delivered": True,
                "problem": None,
                "delivered": [],
                "refused": {},
            }
            assert (results["ops"]["is_delivered"], results["ops"]["refused"]) == (False, {TWO: "550 no"})
            told = await it.stage.post("/v1/notifications/test", json={"channel": "off"}, expect=200)
            assert told["results"][0]["problem"] == "127.0.0.1 did not answer within 1 s"
            await it.stage.post("/v1/notifications/test", json={"channel": "nobody"}, expect=404)
            await it.stage.post("/v1/notifications/test", json={"channel": 1}, expect=422)
            answer = await it.stage.http.post("/v1/notifications/test", json={}, headers=it.stage.auth(Role.VIEWER))
            assert answer.status_code == 403
            assert await it.items() == []
    assert json.loads(hook.bodies()[0])["type"] == "warmstandby.notification_test"
    assert "a test of the notifications" in mailbox.subjects[0]


async def test_a_bad_channel_is_refused_and_nothing_changes(newest_dsn: str, tmp_path: Path) -> None:
    """422 with the key and what is allowed, in a document or in a part of it."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        it = Post(stage)
        before = await stage.get("/v1/config")
        for channel, named in (
            (mail(0), "notifications.channels.new.mail.port: 0: Input should be greater than or equal to 1"),
            (mail(25, include=["peer_lots"]), "include: 'peer_lots' is no kind of event; allowed are"),
            ({"host": "localhost"}, "notifications.channels.new"),
        ):
            refused = await it.change({"channels": {"new": channel}}, expect=422)
            assert (refused["code"], named in refused["detail"]) == ("config_refused", True)
        document = before["document"] | {"notifications": {"channels": {"new": mail(0)}}}
        etag = (await stage.http.get("/v1/config", headers=stage.auth())).headers["ETag"]
        answer = await stage.http.put("/v1/config", headers={**stage.auth(), "If-Match": etag}, json=document)
        assert (answer.status_code, "port" in answer.json()["detail"]) == (422, True)
        assert await stage.get("/v1/config") == before


async def test_secrets_are_written_and_never_shown(
    newest_dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither by settings nor by events, errors, logs or notifications; a mask keeps what is stored."""
    hidden = {
        "password": "p-w0rd-1",
        "header": "bearer-2",
        "path": "secret-path",
        "dead": "dead-path",
        "secret": SECRET,
    }
    nobody = ports.reserve_port()
    caplog.set_level("DEBUG")
    async with post(
        newest_dsn,
        tmp_path,
        {
            "ops": mail(nobody, user="u", password=hidden["password"]),
            "hook": hook_to(nobody, secrets=[SECRET], headers={"X-Key": hidden["header"]}),
        },
    ) as it:
        await it.change({"dead_man_url": f"http://127.0.0.1:{nobody}/{hidden['dead']}"})
        stage, channels = it.stage, it.stage.parts.config
        await it.tell(lost())
        await eventually(lambda: _failed(it))
        shown = await stage.get("/v1/config")
        ops, hook = (shown["document"]["notifications"]["channels"][name] for name in ("ops", "hook"))
        mask = "**********"
        assert (ops["password"], hook["secrets"], hook["headers"]) == (mask, [mask], {"X-Key": mask})
        assert hook["url"] == f"http://127.0.0.1:{nobody}/{mask}"

        etag = (await stage.http.get("/v1/config", headers=stage.auth())).headers["ETag"]
        answer = await stage.http.put("/v1/config", headers={**stage.auth(), "If-Match": etag}, json=shown["document"])
        assert answer.status_code == 200, answer.text
        new = "whsec_" + base64.b64encode(os.urandom(24)).decode()
        await it.change({"channels": {"hook": {"secrets": [new, mask]}, "ops": {"port": 26}}})
        kept = channels.known.notifications.channels
        assert isinstance(kept["ops"], MailChannel)
        assert isinstance(kept["hook"], WebhookChannel)
        assert (kept["ops"].password, kept["hook"].secrets) == (hidden["password"], (new, SECRET))
        assert kept["hook"].headers == {"X-Key": hidden["header"]}
        refused = await it.change({"channels": {"ops": {"password": hidden["password"] * 300}}}, expect=422)
        paths = ("config", "events?limit=200", "notifications", "notifications/channels", "status", "syncs", "tokens")
        walked = [refused, *[await stage.get(f"/v1/{path}") for path in paths]]
        events = await stage.parts.database.fetch("SELECT to_jsonb(e)::text AS text FROM control.events e")
        walked += [row["text"] for row in events]
        text = "\n".join(
            map(str, [*walked, caplog.text, *(str(vars(record)) for record in caplog.records), repr(kept)])
        )
        assert [name for name, secret in hidden.items() if secret in text] == []
        assert hidden["password"] in (tmp_path / "pair.json").read_text(
            encoding="utf-8"
        )  # for when the database is away
    ports.release_port(nobody)


async def _failed(it: Post) -> bool:
    return all(one["problem"] for one in await it.items())


async def test_the_digest_is_told_once_a_day(newest_dsn: str, tmp_path: Path) -> None:
    """Also by a process that was begun again."""
    mailbox, now = Mailbox(), datetime.now(UTC)
    with mail_server(mailbox) as smtp:
        at = f"{now:%H:%M}"
        for _ in range(2):
            async with post(newest_dsn, tmp_path, {"ops": mail(smtp)}) as it:
                await it.change({"digest": True, "digest_at": at, "zone": "UTC"})
                await it.stage.parts.notifications.digest.look()
                (sent,) = await it.are("sent", query="&channel=ops")
                assert sent["event_id"].endswith(f"/digest/digest-{now:%Y-%m-%d}")
    ((_, letter),) = mailbox.letters
    body = letter.get_body(("plain",))
    assert "daily digest" in letter["Subject"]
    assert body is not None
    assert "syncs.count:" in body.get_content()


async def test_the_dead_mans_switch_is_called_while_all_is_well(newest_dsn: str, tmp_path: Path) -> None:
    """Not while the pair is unprotected."""
    hook = Hook()
    with webhook_server(hook) as http:
        async with post(newest_dsn, tmp_path, {}) as it:
            await it.change({"dead_man_url": f"http://127.0.0.1:{http}/alive", "dead_man_seconds": 5})
            switch = it.stage.parts.notifications.dead_man
            await switch.look()
            assert hook.got == []
            switch._is_well = lambda: True
            await eventually(lambda: _was_called(hook))
            await switch.look()
    assert [path for path, _, _ in hook.got] == ["/alive"]


async def _was_called(hook: Hook) -> bool:
    return bool(hook.got)
