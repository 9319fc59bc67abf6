"""A log line is one line, and holds no secret in any form."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from shared.log import HIDDEN, REQUEST_ID, LineFormatter, Redactor

KEY = "k3y/of+the=node-0123456789"
REDACT = Redactor([KEY, "postgresql://role:p%40ss-word@host/db"])


def line(message: str, *, as_json: bool = False, exc_info: Any = None, **fields: object) -> str:
    record = logging.getLogger("x").makeRecord("x", logging.INFO, "f", 1, message, (), exc_info, extra=fields)
    return LineFormatter(as_json=as_json, redact=REDACT, constants={"service": "agent"}).format(record)


def test_text_is_a_message_and_fields() -> None:
    assert line("sync finished", rows=3, table="a b").endswith('info    sync finished rows=3 table="a b"')


def test_json_keeps_types_and_names_the_service() -> None:
    event = json.loads(line("sync finished", as_json=True, rows=3, ok=True, what=None))
    assert (event["message"], event["rows"], event["ok"], event["what"]) == ("sync finished", 3, True, None)
    assert (event["level"], event["service"]) == ("info", "agent")


@pytest.mark.parametrize("as_json", [False, True])
def test_an_event_is_one_line_even_with_a_traceback(as_json: bool) -> None:
    with pytest.raises(ValueError, match="two") as caught:
        int(f"two\nlines with {KEY}")
    text = line("broken\nmessage", as_json=as_json, exc_info=(caught.type, caught.value, caught.tb))
    assert len(text.splitlines()) == 1
    assert "ValueError" in text
    assert KEY not in text


@pytest.mark.parametrize(
    "secret",
    [
        "postgresql://app:hunter22@db.example/app",
        "host=db password=hunter22 dbname=app",
        "password='hunter22 with spaces'",
        "Authorization: Bearer hunter22hunter22",
        "https://user:hunter22@example/path",
        "PGPASSWORD=hunter22",
    ],
)
def test_what_looks_like_a_secret_is_hidden(secret: str) -> None:
    assert "hunter22" not in line(secret, field=secret)
    assert HIDDEN in line(secret)


@pytest.mark.parametrize("secret", [KEY, "p%40ss-word", "p@ss-word"])
def test_known_secrets_are_hidden_wherever_they_stand(secret: str) -> None:
    """Of a DSN the password is known as it is written and as it is meant."""
    for as_json in (False, True):
        assert secret not in line(f"said {secret}.", as_json=as_json, field={"deep": [secret]})


def test_an_address_without_a_password_stays_readable() -> None:
    assert "postgresql://app@db:5432/app" in line("to postgresql://app@db:5432/app")


def test_lines_of_a_request_carry_its_id() -> None:
    token = REQUEST_ID.set("abc12345")
    try:
        assert line("x").endswith("request_id=abc12345")
    finally:
        REQUEST_ID.reset(token)
