"""What the kernel says of the machine's clock: whether something keeps it right, and how wrong it may be."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Final

UNSYNCHRONISED_SECONDS: Final = 16.0
"""The kernel's largest error: it counts up to there from the last time that somebody set the clock right."""


@dataclass(frozen=True, slots=True)
class KernelClock:
    """The kernel's word; None where it gives none."""

    is_synchronised: bool | None = None
    error_seconds: float | None = None
    """How far the clock is from the true time at most, as the kernel believes."""


class _Timex(ctypes.Structure):
    """The beginning of struct timex of adjtimex(2), with room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_byte * 256),
    )


def read_kernel_clock() -> KernelClock:
    """Ask the kernel, which takes no rights and microseconds; where it cannot be asked, nothing is known."""
    asked = _Timex(modes=0)  # changes nothing
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.byref(asked))
    except (OSError, AttributeError):
        return KernelClock()
    if answer < 0:
        return KernelClock()
    error_seconds = asked.maxerror / 1e6
    # The flag STA_UNSYNC is no help: time daemons set it too, to keep the kernel from writing the hardware clock.
    return KernelClock(error_seconds < UNSYNCHRONISED_SECONDS, error_seconds)
