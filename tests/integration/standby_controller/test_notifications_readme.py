"""The commands of README.md's section on notifications, as they stand, against a controller that runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.binaries import TREE
from lab.people import ask_once
from lab.service import plain_environment
from tests.integration.standby_controller.process import running_controller
from tests.integration.standby_controller.receivers import Hook, Mailbox, mail_server, webhook_server
from tests.integration.standby_controller.test_process import make_token


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_the_commands_make_channels_and_try_them(newest_dsn: str, tmp_path: Path) -> None:
    """Hosts and ports are others here, and the server wants no login; nothing else is changed."""
    text = (TREE / "README.md").read_text(encoding="utf-8")
    found = re.search(r"## Notifications\n.*?```sh\n(.*?)```", text, re.DOTALL)
    assert found is not None
    mailbox, hook = Mailbox(), Hook()
    with (
        running_controller(tmp_path, newest_dsn, {}) as service,
        mail_server(mailbox) as smtp,
        webhook_server(hook) as http,
    ):
        service.wait_ready(path="/health/live")
        token, script = make_token(service), found[1]
        for old, new in (
            ("https://two.example:8441", service.url),
            ("--cacert /etc/warmstandby/ca.pem ", ""),
            (
                '"mail.example", "user": "warmstandby", "password": "..."',
                f'"localhost", "port": {smtp}, "security": "none"',
            ),
            ("https://hooks.example/...", f"http://localhost:{http}/in"),
        ):
            assert old in script, old
            script = script.replace(old, new)
        ran = subprocess.run(
            ["sh", "-eu", "-c", script],
            cwd=tmp_path,
            env={**plain_environment(), "PATH": os.environ["PATH"], "WARMSTANDBY_TOKEN": token},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert ran.returncode == 0, ran.stderr
        answer = json.loads(ran.stdout[ran.stdout.rindex('{"event_id"') :])
        assert {one["channel"]: one["is_delivered"] for one in answer["results"]} == {"chat": True, "ops": True}
        channels = ask_once(service.url, token, "GET", "/v1/notifications/channels").json()["items"]
        assert [one["name"] for one in channels] == ["chat", "ops"]
    assert (len(mailbox.letters), len(hook.got)) == (1, 1)
