"""What all answers and lists of this API share: frozen answers, strict requests, times in Z, pages."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Final, Generic, TypeVar

from fastapi import Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from services.standby_controller.store.pages import MAX_LIMIT
from services.standby_controller.store.records import Failure
from shared.clock import format_instant

Item = TypeVar("Item")

Instant = Annotated[
    AwareDatetime,
    PlainSerializer(format_instant, return_type=str, when_used="json"),
    Field(description="RFC 3339 in Z.", json_schema_extra={"format": "date-time"}),
]


class Answer(BaseModel):
    """A frozen answer."""

    model_config = ConfigDict(frozen=True)


class Demand(BaseModel):
    """A strict request: a key it does not know, or a value of another type, is refused."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class ListAnswer(Answer, Generic[Item]):
    """A page of a list."""

    items: tuple[Item, ...]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null at the end.")


class FailureAnswer(Answer):
    """Why something did not succeed."""

    code: str = Field(description="Stable name for programs.")
    detail: str = Field(description="What went wrong this time.")
    hint: str = Field(description="What to do about it.")

    @classmethod
    def of(cls, failure: Failure | None) -> FailureAnswer | None:
        """Return the answer for a failure, null for none."""
        return None if failure is None else cls(code=failure.code, detail=failure.detail, hint=failure.hint)


Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items in the answer at most.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")]
DEFAULT_LIMIT: Final = 50

_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _check_form(value: object) -> object:
    if isinstance(value, str) and not _RFC_3339.fullmatch(value):
        raise ValueError("allowed are instants like 2026-01-31T09:30:00Z")
    return value


def _to_utc(instant: datetime) -> datetime:
    """Return the instant in UTC; those beyond the calendar's ends, by their zone, are the ends."""
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC) if instant.year == 1 else datetime.max.replace(tzinfo=UTC)


AskedInstant = Annotated[AwareDatetime, BeforeValidator(_check_form), AfterValidator(_to_utc)]
From = Annotated[AskedInstant | None, Query(description="Not before this instant (RFC 3339 with a zone).")]
Before = Annotated[AskedInstant | None, Query(description="Before this instant (RFC 3339 with a zone).")]

NAME: Final = r"^[A-Za-z0-9_-]{1,63}$"
CODE: Final = r"^[a-z0-9_]{1,63}$"
