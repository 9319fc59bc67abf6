"""Takes one event to one channel: the letter is written, the way is chosen, nothing is remembered."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final

from services.standby_controller.notify.letters import Standing, cloud_event, write_letter
from services.standby_controller.notify.mail import send_letter
from services.standby_controller.notify.webhook import call, post_event
from services.standby_controller.pair_channels import MailChannel, WebhookChannel
from services.standby_controller.policy.delivery import Outcome
from services.standby_controller.store.outbox import Parcel
from shared.clock import Clock

_CALL_SECONDS: Final = 10.0


class Courier:
    """Sends by mail and by webhook, each within its own deadline."""

    def __init__(self, standing: Callable[[], Standing], context: Callable[[], ssl.SSLContext], clock: Clock) -> None:
        """Take from there how the pair stands, and what certificates are trusted."""
        self._standing = standing
        self._make_context = context
        self._clock = clock
        self._context: ssl.SSLContext | None = None

    async def send(self, channel: MailChannel | WebhookChannel, parcel: Parcel) -> Outcome:
        """Try once to bring an event to those of a channel who are still to get it."""
        now, standing = self._clock.now(), self._standing()
        if isinstance(channel, WebhookChannel):
            body = cloud_event(parcel, standing)
            return await post_event(channel, body, parcel.event_id, context=self._trusted(), now=now)
        settled = {*parcel.delivery.delivered, *parcel.delivery.refused}
        recipients = [address for address in channel.recipients if address not in settled]
        if not recipients:
            return Outcome()
        letter = write_letter(parcel, standing)
        return await send_letter(channel, letter, recipients, context=self._trusted(), now=now)

    async def call(self, url: str) -> str | None:
        """Call a URL and return what went wrong."""
        return await call(url, seconds=_CALL_SECONDS, context=self._trusted())

    def _trusted(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = self._make_context()
        return self._context
