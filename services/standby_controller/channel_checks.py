"""What no pattern can say of the settings of notifications: what fits together, and what a masked secret stands for."""

from __future__ import annotations

import base64
import binascii
import copy
import ipaddress
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from services.standby_controller.pair_channels import (
    MASK,
    MailChannel,
    NotificationsGroup,
    WebhookChannel,
    mask_url,
)
from services.standby_controller.policy.notice import NOTICES

RESERVED_HEADERS: Final = frozenset(
    {"connection", "content-length", "content-type", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
_GROUP: Final = "notifications"


def faults_of(group: NotificationsGroup) -> Iterator[str]:
    """Yield what is wrong: key, value where it is no secret, and what is allowed."""
    try:
        ZoneInfo(group.zone)
    except (KeyError, ValueError, OSError):
        yield f"{_GROUP}.zone: {group.zone!r} is no time zone; allowed are names like UTC and Europe/Berlin"
    if group.dead_man_url is not None:
        yield from _faults_of_url(f"{_GROUP}.dead_man_url", group.dead_man_url)
    for name, channel in group.channels.items():
        place = f"{_GROUP}.channels.{name}"
        for key in ("include", "exclude"):
            for kind in getattr(channel, key):
                if kind not in NOTICES:
                    yield f"{place}.{key}: {kind!r} is no kind of event; allowed are {', '.join(sorted(NOTICES))}"
        if both := sorted(set(channel.include) & set(channel.exclude)):
            yield f"{place}.include: {both[0]!r} is in exclude too; allowed is one of both"
        yield from (
            _faults_of_mail(place, channel) if isinstance(channel, MailChannel) else _faults_of_webhook(place, channel)
        )


def unmask(value: dict[str, Any], stored: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a document with the stored secrets where it holds their masks, and the keys whose mask stands for nothing.

    Both documents are revealed ones.
    """
    document, faults = copy.deepcopy(value), list[str]()
    group, held = document.get(_GROUP) or {}, stored.get(_GROUP) or {}
    _keep_url(group, held, "dead_man_url", _GROUP, faults)
    channels = group.get("channels") or {}
    for name, channel in channels.items():
        place, before = f"{_GROUP}.channels.{name}", (held.get("channels") or {}).get(name) or {}
        if channel.get("password") == MASK:
            channel["password"] = _stored(before.get("password"), f"{place}.password", faults)
        _keep_url(channel, before, "url", place, faults)
        remaining = iter(before.get("secrets") or ())
        channel_secrets = [
            _stored(next(remaining, None), f"{place}.secrets.{number}", faults) if secret == MASK else secret
            for number, secret in enumerate(channel.get("secrets") or ())
        ]
        if channel_secrets:
            channel["secrets"] = channel_secrets
        for header, text in (channel.get("headers") or {}).items():
            if text == MASK:
                kept = (before.get("headers") or {}).get(header)
                channel["headers"][header] = _stored(kept, f"{place}.headers.{header}", faults)
    return document, tuple(faults)


def _keep_url(group: dict[str, Any], before: dict[str, Any], key: str, place: str, faults: list[str]) -> None:
    url = group.get(key)
    if not isinstance(url, str) or MASK not in url:
        return
    kept = before.get(key)
    group[key] = kept if kept is not None and mask_url(kept) == url else _stored(None, f"{place}.{key}", faults)


def _stored(kept: Any, place: str, faults: list[str]) -> Any:
    if kept is None:
        faults.append(f"{place}: {MASK} stands for what is stored, and there is nothing; allowed is the value itself")
        return MASK
    return kept


def _faults_of_mail(place: str, channel: MailChannel) -> Iterator[str]:
    lowered = [address.lower() for address in channel.recipients]
    for number, address in enumerate(lowered):
        if address in lowered[:number]:
            yield f"{place}.recipients.{number}: {address!r} is there already; allowed is each address once"
    if (channel.password is None) != (channel.user is None):
        yield f"{place}.{'user' if channel.user is None else 'password'}: null; allowed are user and password together"
    if channel.security == "none" and channel.password is not None and not _is_loopback(channel.host):
        yield (
            f"{place}.security: 'none' with a password; allowed are 'starttls' and 'tls', or a server on this machine, "
            "so that the password does not travel in the clear"
        )


def _faults_of_webhook(place: str, channel: WebhookChannel) -> Iterator[str]:
    yield from _faults_of_url(f"{place}.url", channel.url)
    for number, secret in enumerate(channel.secrets):
        try:
            size = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
        except binascii.Error:
            size = 0
        if not 24 <= size <= 64:
            yield f"{place}.secrets.{number}: not base64 of 24 to 64 bytes after whsec_"
    if len(set(channel.secrets)) < len(channel.secrets):
        yield f"{place}.secrets: one is there twice; allowed is each once"
    for name in channel.headers:
        if name.lower() in RESERVED_HEADERS or name.lower().startswith("webhook-"):
            yield f"{place}.headers.{name}: this header is set by the sender; allowed are others"
    if len({name.lower() for name in channel.headers}) < len(channel.headers):
        yield f"{place}.headers: one is there twice; allowed is each once"


def _faults_of_url(place: str, url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        is_good = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_good = False
    if not is_good:
        yield f"{place}: not a URL of http or https with a host and a port from 1 to 65535"
    elif "#" in url:
        yield f"{place}: it has a fragment; allowed is a URL without one"


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
