"""How two copies of the pair's settings and tokens become one, whatever the order in which they meet. Pure.

`merge_books` is a join: commutative, associative, idempotent. So nodes that tell each other what they hold come to the
same, however often and in which order a message is delivered.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final

from pydantic import BaseModel, JsonValue

from shared.node.pair import LINEAGE_LENGTH, ConfigVersion, PairBook, PairSettings, PairToken

FIRST: Final = ConfigVersion(epoch=0, version=1)
"""The defaults, which every node begins with."""


def merge_books(one: PairBook, other: PairBook) -> PairBook:
    """Return what both nodes hold in the end."""
    if one == other:
        return one
    tokens = {token.id: token for token in one.tokens}
    for token in other.tokens:
        tokens[token.id] = merge_tokens(tokens[token.id], token) if token.id in tokens else token
    return PairBook(
        settings=merge_settings(one.settings, other.settings),
        tokens=tuple(tokens[token_id] for token_id in sorted(tokens)),
    )


def merge_settings(one: PairSettings, other: PairSettings) -> PairSettings:
    """Return the settings of the higher version; what two nodes call the same version is ordered by its content."""
    return max(one, other, key=_rank)


def merge_tokens(one: PairToken, other: PairToken) -> PairToken:
    """Return the token; deleted once is deleted for ever."""
    ends = [token.deleted_at for token in (one, other) if token.deleted_at is not None]
    alive = max(
        one.model_copy(update={"deleted_at": None}), other.model_copy(update={"deleted_at": None}), key=canonical
    )
    return alive.model_copy(update={"deleted_at": min(ends)}) if ends else alive


def succeed(
    base: PairSettings, document: dict[str, JsonValue], *, epoch: int, node_id: str, changed_by: str, now: datetime
) -> PairSettings:
    """Return the settings that a change made on a node turns `base` into; they are higher than it."""
    return PairSettings(
        document=document,
        version=ConfigVersion(epoch=max(epoch, base.version.epoch), version=base.version.version + 1, node_id=node_id),
        changed_at=now,
        changed_by=changed_by,
        lineage=(base.version, *base.lineage)[:LINEAGE_LENGTH],
    )


def is_overruled(lost: PairSettings, kept: PairSettings) -> bool:
    """Say whether a change was lost to one that was not made from it: two people did not see each other's."""
    if lost.version == kept.version:
        return lost.document != kept.document
    if (lost.version.epoch, lost.version.version) == (FIRST.epoch, FIRST.version) or lost.version in kept.lineage:
        return False
    is_forgotten = len(kept.lineage) == LINEAGE_LENGTH and _order(lost.version) < _order(kept.lineage[-1])
    return not is_forgotten and lost.document != kept.document


def canonical(value: BaseModel) -> str:
    """Return a text that is the same for equal values."""
    return json.dumps(value.model_dump(mode="json"), sort_keys=True)


def _order(version: ConfigVersion) -> tuple[int, int, str]:
    return version.epoch, version.version, version.node_id


def _rank(settings: PairSettings) -> tuple[tuple[int, int, str], datetime, str]:
    return _order(settings.version), settings.changed_at, canonical(settings)
