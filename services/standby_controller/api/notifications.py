"""Notifications of this node: what was told, what waits, what could not be; try a channel, send again."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from services.standby_controller.api.access import ACCESS_ERRORS, Operator, Viewer
from services.standby_controller.api.notification_models import (
    ChannelAnswer,
    NotificationAnswer,
    TestAnswer,
    TestDemand,
    TestResult,
)
from services.standby_controller.api.parts import PartsOf
from services.standby_controller.api.wire import DEFAULT_LIMIT, Cursor, Limit, ListAnswer
from services.standby_controller.pair_channels import CHANNEL_NAME
from services.standby_controller.policy.delivery import Delivery, DeliveryState
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent
from services.standby_controller.store.outbox import Parcel, public_id
from shared.errors import CursorInvalid, NotFound, NotificationNotDead, RequestError
from shared.http.problem import problem_responses

router: Final = APIRouter(prefix="/v1/notifications", tags=["people"])

Number = Annotated[str, Path(pattern=r"^[0-9]{1,18}$", description="Id of a notification.")]


@router.get(
    "",
    operation_id="listNotifications",
    summary="List notifications, newest first",
    response_model=ListAnswer[NotificationAnswer],
    responses=problem_responses(*ACCESS_ERRORS, CursorInvalid),
)
async def list_notifications(
    parts: PartsOf,
    _: Viewer,
    *,
    state: Annotated[list[DeliveryState] | None, Query(description="Only in these states; may be repeated.")] = None,
    channel: Annotated[str | None, Query(pattern=CHANNEL_NAME, description="Only of this channel.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> ListAnswer[NotificationAnswer]:
    """Show what this node has told, or has to tell; the other node's controller shows what that one observed."""
    page = await parts.notifications.outbox.list_parcels(state or (), channel, limit, cursor)
    return ListAnswer[NotificationAnswer](
        items=tuple(map(NotificationAnswer.of, page.items)), next_cursor=page.next_cursor
    )


@router.get(
    "/channels",
    operation_id="listChannels",
    summary="Show how the channels do",
    response_model=ListAnswer[ChannelAnswer],
    responses=problem_responses(*ACCESS_ERRORS),
)
async def list_channels(parts: PartsOf, _: Viewer) -> ListAnswer[ChannelAnswer]:
    """Show each channel's last success and problem, and what waits for it or could not be sent, on this node."""
    health = parts.notifications.office.health
    channels = sorted(parts.config.known.notifications.channels.items())
    return ListAnswer[ChannelAnswer](
        items=tuple(ChannelAnswer.of(name, channel, health.of(name)) for name, channel in channels), next_cursor=None
    )


@router.post(
    "/test",
    operation_id="testNotifications",
    summary="Send a test by one channel, or by all that are on",
    response_model=TestAnswer,
    responses=problem_responses(*ACCESS_ERRORS, NotFound, RequestError),
)
async def test_notifications(parts: PartsOf, caller: Operator, demand: TestDemand) -> TestAnswer:
    """Send at once, by the way that all events go, and answer what came of it."""
    channels = parts.config.known.notifications.channels
    chosen = [demand.channel] if demand.channel is not None else [name for name in channels if channels[name].enabled]
    if not chosen or chosen[0] not in channels:
        raise NotFound(f"there is no channel {chosen[0]!r}" if chosen else "there is no channel that is on")
    now = parts.clock.now()
    text = f"{caller.name} tries the notifications of node {parts.settings.node.id}"
    event = parts.events.stamped(NewEvent(now, EventKind.NOTIFICATION_TEST, Severity.INFO, None, text))
    event_id = public_id(parts.settings.node.pair_id, event)

    async def try_one(name: str) -> TestResult:
        delivery = Delivery(name, event_id, DeliveryState.WAITING, now, now)
        parcel = Parcel(event.key, event_id, parts.settings.node.id, event, delivery)
        return TestResult.of(name, await parts.notifications.office.send_test(name, channels[name], parcel))

    results = await asyncio.gather(*map(try_one, chosen))
    parts.notifications.office.note_test(event)
    return TestAnswer(event_id=event_id, results=tuple(results))


@router.get(
    "/{number}",
    operation_id="getNotification",
    summary="Show a notification",
    response_model=NotificationAnswer,
    responses=problem_responses(*ACCESS_ERRORS, NotFound),
)
async def get_notification(parts: PartsOf, _: Viewer, number: Number) -> NotificationAnswer:
    """Show how an event stands with a channel."""
    return NotificationAnswer.of(await parts.notifications.outbox.read(int(number)))


@router.post(
    "/{number}/resend",
    operation_id="resendNotification",
    summary="Send again what could not be sent",
    status_code=202,
    response_model=NotificationAnswer,
    responses=problem_responses(*ACCESS_ERRORS, NotFound, NotificationNotDead),
)
async def resend_notification(parts: PartsOf, _: Operator, number: Number) -> NotificationAnswer:
    """Queue a dead notification again, for the recipients who do not have it."""
    channels, now = parts.config.known.notifications.channels, parts.clock.now()
    return NotificationAnswer.of(await parts.notifications.outbox.resend(int(number), channels.keys(), now))
