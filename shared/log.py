"""What the services write to standard error: one line for each event, a constant message plus fields, no secrets.

Use the standard library: `log.info("sync finished", extra={"component": name, "rows": rows})`. No field may be called
like an attribute of LogRecord (`name`, `module`, `args`, `message` …).
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from shared.clock import format_instant
from shared.errors import WarmstandbyError

HIDDEN: Final = "…"
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}
_PLAIN: Final = re.compile(r"[\w.:/@+,\[\]{}()-]+")
_PATTERNS: Final = (
    (re.compile(r"(://[^\s:/@'\"]*):[^\s/@'\"]+@"), rf"\1:{HIDDEN}@"),
    (re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{6,}"), rf"\1{HIDDEN}"),
    (
        re.compile(r"(?i)\b(password|passwd|passfile|pgpassword|secret|token|api_key)(\s*=\s*)('[^']*'|[^\s&;,]+)"),
        rf"\1\2{HIDDEN}",
    ),
)


class Redactor:
    """Removes the secrets it knows, and what looks like one, from a text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        exact = {part for secret in secrets for part in _parts(secret) if len(part) >= 4}
        self._exact = sorted(exact, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        for secret in self._exact:
            text = text.replace(secret, HIDDEN)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text


def _parts(secret: str) -> Iterable[str]:
    """Yield a key itself, or of a URL the password as written and as meant."""
    if "://" not in secret:
        yield secret
        return
    password = urlsplit(secret).password or ""
    yield from {password, unquote(password)}


class LineFormatter(logging.Formatter):
    """One line for each event: text for people, or JSON."""

    def __init__(self, *, as_json: bool, redact: Redactor, constants: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._as_json = as_json
        self._redact = redact
        self._constants = dict(constants or {})

    def format(self, record: logging.LogRecord) -> str:
        """Return the event's line."""
        at = format_instant(datetime.fromtimestamp(record.created, UTC))
        message = self._clean(record.getMessage())
        fields = {name: self._clean(value) for name, value in self._fields(record).items()}
        if self._as_json:
            head = {"at": at, "level": record.levelname.lower(), "message": message, "logger": record.name}
            return json.dumps({**head, **self._constants, **fields}, ensure_ascii=False)
        tail = "".join(f" {name}={_as_text(value)}" for name, value in fields.items())
        return f"{at} {record.levelname.lower():<7} {_on_one_line(str(message))}{tail}"

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if (request_id := REQUEST_ID.get()) is not None:
            fields["request_id"] = request_id
        if record.exc_info and record.exc_info[0] is not None:
            fields["traceback"] = self.formatException(record.exc_info)
        return fields

    def _clean(self, value: Any) -> Any:
        return value if value is None or isinstance(value, bool | int | float) else self._redact(str(value))


def _as_text(value: Any) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _on_one_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")


def fields_of(error: WarmstandbyError) -> dict[str, str]:
    """Return what a log line says about an error of ours."""
    return {"code": error.code, "detail": error.detail, "hint": error.hint}


def configure_logging(level: str, *, as_json: bool, redact: Redactor, service: str) -> None:
    """Send every logger of the process to standard error; repeatable."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(as_json=as_json, redact=redact, constants={"service": service}))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    for noisy in ("uvicorn", "uvicorn.error", "httpx", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
