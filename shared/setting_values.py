"""What a value of node.toml may be: names, keys, addresses, programs. Knows no section."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr


def check_name(value: str) -> str:
    """Allow letters, digits, `-` and `_`, at most 63 characters; raise ValueError otherwise."""
    if re.fullmatch("[A-Za-z0-9_-]{1,63}", value) is None:
        raise ValueError("allowed are 1 to 63 letters, digits, '-' and '_'")
    return value


def check_key(value: SecretStr) -> SecretStr:
    """Ask for a key that nobody guesses; raise ValueError otherwise."""
    if len(value.get_secret_value()) < 24:
        raise ValueError("a key has at least 24 characters; make one with `openssl rand -base64 32`")
    return value


def check_address(value: str) -> str:
    """Allow `host:port`, with `[…]` around an IPv6 host; raise ValueError otherwise."""
    host, separator, port = value.rpartition(":")
    if not separator or not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError("allowed is host:port, as in 127.0.0.1:8440")
    return value


def check_url(value: str) -> str:
    """Allow `http://host:port` and `https://host:port` without a path; raise ValueError otherwise."""
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in ("http", "https") or not rest or "/" in rest.rstrip("/"):
        raise ValueError("allowed is http://host:port or https://host:port")
    return value.rstrip("/")


def check_dsn(value: SecretStr) -> SecretStr:
    """Allow a PostgreSQL URL; raise ValueError otherwise (without the value: it may hold a password)."""
    if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("allowed is postgresql://role:password@host:port/database")
    return value


def check_command(value: tuple[str, ...]) -> tuple[str, ...]:
    """Allow a program by its absolute path, with arguments; raise ValueError otherwise."""
    if not value or not value[0].startswith("/"):
        raise ValueError('allowed is a list that begins with the absolute path of a program, as in ["/usr/bin/true"]')
    if any("\0" in part for part in value):
        raise ValueError("an argument has no zero byte")
    return value


def check_page(value: str) -> str:
    """Allow the address of a page without user and password; raise ValueError otherwise."""
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in ("http", "https") or not rest.partition("/")[0] or "@" in rest.partition("/")[0]:
        raise ValueError("allowed is http:// or https:// with host, port and path, without user and password")
    return value


Name = Annotated[str, AfterValidator(check_name)]
Key = Annotated[SecretStr, AfterValidator(check_key)]
Address = Annotated[str, AfterValidator(check_address)]
Url = Annotated[str, AfterValidator(check_url)]
Dsn = Annotated[SecretStr, AfterValidator(check_dsn)]
Command = Annotated[tuple[str, ...], AfterValidator(check_command)]
Page = Annotated[str, AfterValidator(check_page)]


class Section(BaseModel):
    """A group of settings: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True)
