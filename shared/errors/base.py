"""The root of the tree of errors: detail, hint, code and status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason of a refusal, and the name of the override that would pass it."""

    code: str
    text: str
    override: str | None = None


class WarmstandbyError(Exception):
    """Something went wrong in Warmstandby."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    default_hint: ClassVar[str] = "Look at the log of the service that answered."
    retry_after_seconds: float | None = None
    refusals: tuple[Refusal, ...] = ()

    def __init__(self, detail: str, *, hint: str | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint if hint is not None else self.default_hint
        if retry_after_seconds is not None:
            self.retry_after_seconds = retry_after_seconds

    @classmethod
    def title(cls) -> str:
        """Return the first line of the docstring, the sentence for people."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]
