"""Where notifications go, as settings of the pair: channels with their secrets, written and never shown. No I/O.

A dump shows `**********` for a secret; only storage and the exchange between the nodes' controllers reveal it.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, PlainSerializer, SerializationInfo, ValidationError

from services.standby_controller.setting_group import WHOLE, Group
from services.standby_controller.severity import Severity

MASK: Final = "**********"
REVEALED: Final = {"secrets": "revealed"}
"""The context of a dump that holds the secrets."""
KIND: Final = r"^[a-z0-9_]{1,63}$"
CHANNEL_NAME: Final = r"^[a-z0-9][a-z0-9_-]{0,31}$"
ADDRESS: Final = r"^[A-Za-z0-9.!#$%&*+/=?^_{|}~-]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,188}$"
HOST: Final = r"^[A-Za-z0-9:][A-Za-z0-9.:_-]{0,252}$"
URL: Final = r"^https?://[A-Za-z0-9\[][A-Za-z0-9.:\[\]_-]{0,252}([/?][!-~]{0,1500})?$"
SECRET: Final = r"^(whsec_[A-Za-z0-9+/]{32,88}={0,2}|[*]{10})$"
HEADER_NAME: Final = r"^[A-Za-z0-9_-]{1,64}$"
HEADER_VALUE: Final = r"^[!-~]([ -~]{0,1022}[!-~])?$"


def mask_url(url: str) -> str:
    """Return the URL without what may be a secret: its path and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/{MASK}"


def _is_revealed(info: SerializationInfo) -> bool:
    return isinstance(info.context, dict) and info.context.get("secrets") == "revealed"


def _text(value: str | None, info: SerializationInfo) -> str | None:
    return value if value is None or _is_revealed(info) else MASK


def _url(value: str | None, info: SerializationInfo) -> str | None:
    return value if value is None or _is_revealed(info) else mask_url(value)


def _list(value: tuple[str, ...], info: SerializationInfo) -> list[str]:
    return list(value) if _is_revealed(info) else [MASK] * len(value)


def _map(value: dict[str, str], info: SerializationInfo) -> dict[str, str]:
    return dict(value) if _is_revealed(info) else dict.fromkeys(value, MASK)


_NO_OTHERS: Final[dict[str, Any]] = {"additionalProperties": False}
"""A map has no keys but those of its pattern."""
_HIDDEN: Final[dict[str, Any]] = {"format": "password"}
Kinds: TypeAlias = Annotated[tuple[Annotated[str, Field(pattern=KIND)], ...], Field(strict=False, max_length=100)]
Address: TypeAlias = Annotated[str, Field(pattern=ADDRESS)]
HiddenUrl: TypeAlias = Annotated[
    str, Field(pattern=URL, json_schema_extra=_HIDDEN), PlainSerializer(_url, return_type=str)
]


class ChannelBase(Group):
    """What all channels have."""

    enabled: bool = Field(True, description="Send by this channel.")
    min_severity: Annotated[Severity, Field(strict=False)] = Field(
        Severity.INFO, description="Events under this are not sent, except those that end what was sent."
    )
    include: Kinds = Field((), description="Kinds of events that are sent besides, whatever their severity.")
    exclude: Kinds = Field((), description="Kinds of events that are never sent.")
    timeout_seconds: float = Field(20.0, ge=1, le=120, description="An attempt that takes longer has failed.")


class MailChannel(ChannelBase):
    """Letters by SMTP."""

    kind: Literal["mail"] = Field(description="Mail.")
    host: str = Field(pattern=HOST, description="The SMTP server.")
    port: Annotated[int, Field(ge=1, le=65535), WHOLE] = Field(587, description="Its port.")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="TLS after STARTTLS, from the start, or not at all; certificates are always checked."
    )
    user: Annotated[str, Field(min_length=1, max_length=254, pattern=r"^[ -~]+$")] | None = Field(
        None, description="Who logs in; null for nobody."
    )
    password: Annotated[
        Annotated[str, Field(min_length=1, max_length=1024, json_schema_extra=_HIDDEN)] | None,
        PlainSerializer(_text, return_type=str | None),
    ] = Field(None, repr=False, description="The password; written, never shown.")
    sender: Address = Field(description="The address that letters come from.")
    recipients: Annotated[tuple[Address, ...], Field(strict=False, min_length=1, max_length=50)] = Field(
        description="The addresses that they go to."
    )


class WebhookChannel(ChannelBase):
    """CloudEvents by HTTP, signed by the Standard Webhooks scheme."""

    kind: Literal["webhook"] = Field(description="Webhook.")
    url: HiddenUrl = Field(repr=False, description="Where events are posted; its path and query are never shown.")
    secrets: Annotated[
        tuple[Annotated[str, Field(pattern=SECRET)], ...],
        Field(strict=False, max_length=4),
        PlainSerializer(_list, return_type=list[str]),
    ] = Field(
        (),
        repr=False,
        description="Signing secrets, `whsec_` and base64 of 24 to 64 bytes; each gives a signature, so that a new one "
        "can be added before the old one goes.",
    )
    headers: Annotated[
        dict[Annotated[str, Field(pattern=HEADER_NAME)], Annotated[str, Field(pattern=HEADER_VALUE)]],
        Field(max_length=20),
        PlainSerializer(_map, return_type=dict[str, str]),
    ] = Field(
        default_factory=dict,
        repr=False,
        description="Headers that are sent besides; values are never shown.",
        json_schema_extra=_NO_OTHERS,
    )


Channel: TypeAlias = Annotated[MailChannel | WebhookChannel, Field(discriminator="kind")]
ChannelName: TypeAlias = Annotated[str, Field(pattern=CHANNEL_NAME)]


class NotificationsGroup(Group):
    """Who is told what happened, and how."""

    channels: Annotated[dict[ChannelName, Channel], Field(max_length=20)] = Field(
        default_factory=dict,
        description="Channels by name: each is of kind `mail` or `webhook`.",
        json_schema_extra=_NO_OTHERS,
    )
    fold_seconds: Annotated[int, Field(ge=0, le=86400), WHOLE] = Field(
        600, description="Events of an incident that repeat within this are told together; 0 tells each."
    )
    give_up_hours: Annotated[int, Field(ge=1, le=720), WHOLE] = Field(
        24, description="What could not be sent for so long is kept as dead: it can be seen, and sent again."
    )
    digest: bool = Field(True, description="Send a digest each day.")
    digest_at: str = Field("08:00", pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="When, in `zone`.")
    zone: str = Field("UTC", pattern=r"^[A-Za-z0-9_+/-]{1,64}$", description="The time zone of `digest_at`.")
    dead_man_url: Annotated[
        Annotated[str, Field(pattern=URL, json_schema_extra=_HIDDEN)] | None,
        PlainSerializer(_url, return_type=str | None),
    ] = Field(
        None,
        repr=False,
        description="Called by the standby while the pair is protected: who waits for the calls hears of silence.",
    )
    dead_man_seconds: Annotated[int, Field(ge=5, le=86400), WHOLE] = Field(60, description="The pause between calls.")


_MODELS: Final[dict[str, type[MailChannel | WebhookChannel]]] = {"mail": MailChannel, "webhook": WebhookChannel}


def usable_channels(value: Any) -> dict[str, Any]:
    """Return those stored channels that this release understands, without keys that only another one knows."""
    found = {}
    for name, channel in value.items() if isinstance(value, dict) else ():
        model = _MODELS.get(str(channel.get("kind"))) if isinstance(channel, dict) else None
        if model is None:
            continue
        known = {key: item for key, item in channel.items() if key in model.model_fields}
        try:
            NotificationsGroup.model_validate({"channels": {name: known}})
        except ValidationError:
            continue
        found[name] = known
    return found


def carry_channels(before: Any, after: Any) -> dict[str, Any]:
    """Return the changed channels with what was stored before and this release does not understand."""
    understood = usable_channels(before)
    carried = dict(after) if isinstance(after, dict) else {}
    for name, channel in before.items() if isinstance(before, dict) else ():
        if name not in understood:
            carried.setdefault(name, channel)
        elif name in carried and carried[name].get("kind") == channel["kind"]:
            unknown = {key: item for key, item in channel.items() if key not in understood[name]}
            carried[name] = {**unknown, **carried[name]}
    return carried
