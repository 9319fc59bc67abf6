"""Which settings count on a standby while the active node has not recorded them: of two values the narrower. Pure.

A setting that widens the right to promote carries a `Narrower` in its annotation (`pair_document.py`). Each of the two
nodes must know of a wider right before one of them uses it; a narrower one counts at once.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel

from services.standby_controller.pair_groups import Narrower

Model = TypeVar("Model", bound=BaseModel)


def narrow(present: Model, recorded: Model) -> Model:
    """Return the present settings, with the recorded values where those give the narrower right to promote."""
    changes: dict[str, Any] = {}
    for name, field in type(present).model_fields.items():
        now, before = getattr(present, name), getattr(recorded, name)
        if isinstance(now, BaseModel) and isinstance(before, BaseModel):
            changes[name] = narrow(now, before)
            continue
        for mark in field.metadata:
            if isinstance(mark, Narrower):
                changes[name] = mark.of(now, before)
    return present.model_copy(update=changes)


def widened(present: BaseModel, recorded: BaseModel, prefix: str = "") -> tuple[str, ...]:
    """Return the settings that do not count yet, by their names in the document."""
    found: list[str] = []
    counting = narrow(present, recorded)
    for name in type(present).model_fields:
        now, then = getattr(present, name), getattr(counting, name)
        if isinstance(now, BaseModel):
            found += widened(now, getattr(recorded, name), f"{prefix}{name}.")
        elif now != then:
            found.append(f"{prefix}{name}")
    return tuple(found)
