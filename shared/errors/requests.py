"""The caller asked for something that cannot be."""

from __future__ import annotations

from shared.errors.base import WarmstandbyError


class RequestError(WarmstandbyError):
    """The request cannot be carried out as it stands."""

    code = "request_invalid"
    status = 422
    default_hint = "Compare the request with the API's documentation at /docs."


class NotFound(RequestError):
    """There is nothing under this address."""

    code = "not_found"
    status = 404
    default_hint = "List the resources first and use an id from the answer."


class CursorInvalid(RequestError):
    """The cursor of a list cannot be used."""

    code = "list_cursor_invalid"
    default_hint = "Send `next_cursor` of the last answer unchanged, with the same filters, or leave it out."


class WindowInvalid(RequestError):
    """The history cannot be summed up over this window of time."""

    code = "window_invalid"
    default_hint = "Ask for a window that begins before it ends, and for longer spans (`bucket_seconds`) in a long one."


class NameTaken(RequestError):
    """Something of this name exists already."""

    code = "name_taken"
    status = 409
    default_hint = "Choose another name, or delete the old one first."


class MethodNotAllowed(RequestError):
    """Another method is needed under this address."""

    code = "method_not_allowed"
    status = 405
    default_hint = "The Allow header lists the methods it takes."


class ConfigRefused(RequestError):
    """The pair's configuration cannot be changed like this."""

    code = "config_refused"
    default_hint = "Correct the named keys. GET /v1/config shows all keys with their present values."


class ScheduleGap(RequestError):
    """With this schedule the data would grow older than its limit before the first run."""

    code = "schedule_gap"
    default_hint = (
        'Set sync.first_run = "next_on_grid" (or "now"), another sync.start_time, or sync.accept_gap = true for this '
        "change alone."
    )


class PreconditionRequired(RequestError):
    """A change of the configuration must name the version it was made from."""

    code = "precondition_required"
    status = 428
    default_hint = "Send the ETag of GET /v1/config as If-Match."


class PreconditionFailed(RequestError):
    """The configuration was changed by somebody else meanwhile."""

    code = "precondition_failed"
    status = 412
    default_hint = "Read GET /v1/config again and repeat the change on the new version."


class ConfirmationNeeded(RequestError):
    """What is asked for needs a word of confirmation."""

    code = "confirmation_needed"
    default_hint = "The detail says what to send besides."


class NotificationNotDead(RequestError):
    """Only what could not be sent can be sent again."""

    code = "notification_not_dead"
    status = 409
    default_hint = "GET /v1/notifications?state=dead lists what can be sent again."
