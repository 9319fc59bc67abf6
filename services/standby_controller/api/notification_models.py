"""Notifications on the wire: what was sent, what waits, what could not be, and how the channels do."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.standby_controller.api.wire import Answer, Demand, Instant
from services.standby_controller.notify.health import ChannelHealth
from services.standby_controller.pair_channels import CHANNEL_NAME, MailChannel, WebhookChannel
from services.standby_controller.policy.delivery import DeliveryState, Outcome
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind
from services.standby_controller.store.outbox import Parcel


class NotificationAnswer(Answer):
    """One event for one channel."""

    id: str = Field(description="Its number in the outbox of this node.")
    event_id: str = Field(description="`webhook-id`, the id of the CloudEvent, and a part of the Message-ID.")
    channel: str
    state: DeliveryState
    kind: EventKind
    severity: Severity
    subject: str | None
    text: str
    at: Instant = Field(description="When it happened.")
    queued_at: Instant
    next_attempt_at: Instant | None = Field(description="Null where none is to come.")
    attempts: int
    sent_at: Instant | None
    problem: str | None = Field(description="Why it was not sent, the last time.")
    delivered: tuple[str, ...] = Field(description="Recipients of a mail who have it.")
    refused: dict[str, str] = Field(description="Recipients of a mail whom the server refuses, and why.")
    repeats: dict[str, int] = Field(description="Events of each kind that it tells together; empty for one event.")
    incident: str = Field(description="`event_id` of the first event of its story: letters of one are a thread.")

    @classmethod
    def of(cls, parcel: Parcel) -> NotificationAnswer:
        """Return the answer for a delivery."""
        event, delivery = parcel.event, parcel.delivery
        is_coming = delivery.state in (DeliveryState.WAITING, DeliveryState.HELD)
        return cls(
            id=parcel.id,
            event_id=parcel.event_id,
            channel=delivery.channel,
            state=delivery.state,
            kind=event.kind,
            severity=event.severity,
            subject=event.subject,
            text=event.text,
            at=event.at,
            queued_at=delivery.queued_at,
            next_attempt_at=delivery.next_attempt_at if is_coming else None,
            attempts=delivery.attempts,
            sent_at=delivery.sent_at,
            problem=delivery.problem,
            delivered=delivery.delivered,
            refused=dict(delivery.refused),
            repeats=dict(delivery.repeats),
            incident=delivery.incident,
        )


class ChannelAnswer(Answer):
    """How one channel does."""

    name: str
    kind: str
    enabled: bool
    is_failing: bool = Field(description="It failed several times in a row.")
    last_success_at: Instant | None
    last_problem_at: Instant | None = Field(description="Since the controller began.")
    last_problem: str | None = Field(description="Null once it works again.")
    waiting: int = Field(description="Notifications that are still to be sent.")
    dead: int = Field(description="Those that could not be.")

    @classmethod
    def of(cls, name: str, channel: MailChannel | WebhookChannel, health: ChannelHealth) -> ChannelAnswer:
        """Return the answer for a channel."""
        return cls(
            name=name,
            kind=channel.kind,
            enabled=channel.enabled,
            is_failing=health.is_failing,
            last_success_at=health.success_at,
            last_problem_at=health.problem_at,
            last_problem=health.problem,
            waiting=health.waiting,
            dead=health.dead,
        )


class TestDemand(Demand):
    """Which channel to try."""

    __test__ = False

    channel: Annotated[str, Field(pattern=CHANNEL_NAME)] | None = Field(
        None, description="Its name; null tries all that are on."
    )


class TestResult(Answer):
    """What trying a channel came to."""

    __test__ = False

    channel: str
    is_delivered: bool
    problem: str | None
    delivered: tuple[str, ...] = Field(description="Recipients of a mail whom the server took it for.")
    refused: dict[str, str] = Field(description="Recipients of a mail whom the server refuses, and why.")

    @classmethod
    def of(cls, channel: str, outcome: Outcome) -> TestResult:
        """Return the answer for an outcome."""
        return cls(
            channel=channel,
            is_delivered=outcome.is_delivered,
            problem=outcome.problem,
            delivered=outcome.delivered,
            refused=dict(outcome.refused),
        )


class TestAnswer(Answer):
    """What trying the channels came to."""

    __test__ = False

    event_id: str = Field(description="`webhook-id`, the id of the CloudEvent, and a part of the Message-ID.")
    results: tuple[TestResult, ...]
