"""The headers that say who speaks, on every request and every answer between nodes. Names and reading only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.node.model import PROTOCOL_MAX, PROTOCOL_MIN

PROTOCOL_HEADER: Final = "Warmstandby-Protocol"
PROTOCOL_MIN_HEADER: Final = "Warmstandby-Protocol-Min"
PAIR_HEADER: Final = "Warmstandby-Pair"
NODE_HEADER: Final = "Warmstandby-Node"
BOOT_HEADER: Final = "Warmstandby-Boot"
TERM_HEADER: Final = "Warmstandby-Term"


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who speaks, as the headers say; `epoch` is that of the term the speaker accepts, None before the first."""

    pair_id: str
    node_id: str
    boot_id: str
    epoch: int | None
    protocol: int = PROTOCOL_MAX
    protocol_min: int = PROTOCOL_MIN

    def headers(self) -> dict[str, str]:
        """Return the headers of a message."""
        headers = {
            PROTOCOL_HEADER: str(self.protocol),
            PROTOCOL_MIN_HEADER: str(self.protocol_min),
            PAIR_HEADER: self.pair_id,
            NODE_HEADER: self.node_id,
            BOOT_HEADER: self.boot_id,
        }
        return headers if self.epoch is None else headers | {TERM_HEADER: str(self.epoch)}

    @property
    def is_understood(self) -> bool:
        """Say whether this release and the speaker's share a protocol number."""
        return self.protocol_min <= PROTOCOL_MAX and self.protocol >= PROTOCOL_MIN


def read_speaker(headers: Mapping[str, str]) -> Speaker | None:
    """Return who speaks, or None where the headers are missing or no numbers; `headers` ignores case."""
    try:
        protocol = int(headers[PROTOCOL_HEADER])
        return Speaker(
            pair_id=headers[PAIR_HEADER],
            node_id=headers[NODE_HEADER],
            boot_id=headers[BOOT_HEADER],
            epoch=int(headers[TERM_HEADER]) if TERM_HEADER in headers else None,
            protocol=protocol,
            protocol_min=int(headers.get(PROTOCOL_MIN_HEADER, protocol)),
        )
    except (KeyError, ValueError):
        return None
