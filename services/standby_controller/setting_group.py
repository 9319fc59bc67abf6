"""What every group of the pair's settings is: frozen, strict, and a key it does not know is an error. No I/O."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _as_whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE: Final = BeforeValidator(_as_whole)
"""An integer as JSON Schema has it: 60.0 is one, "60" and true are not. Stands after the limits of the number."""


class Group(BaseModel):
    """A group of settings: frozen, strict, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
