"""Free ports of 127.0.0.1 that no other process of the lab takes at the same moment.

A port is held by the name of an abstract socket, which is unique on the machine and gone with the process; it is taken
from below the range that the kernel gives to outgoing connections, so that no client socket can slip in between.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
import threading
from typing import Final

LOWEST: Final = 20_000
HIGHEST: Final = 32_000

_held: dict[int, socket.socket] = {}
_lock = threading.Lock()
_order = random.Random(os.urandom(8))


def reserve_port() -> int:
    """Return a port on which nobody listens, held for this process until ``release_port`` or its end."""
    with _lock:
        start = _order.randrange(LOWEST, HIGHEST)
        for port in itertools.chain(range(start, HIGHEST), range(LOWEST, start)):
            if port in _held:
                continue
            claim = _claim(port)
            if claim is not None:
                _held[port] = claim
                return port
    raise OSError(f"no free port between {LOWEST} and {HIGHEST} of 127.0.0.1")


def release_port(port: int) -> None:
    """Give a port back; giving back one that is not held does nothing."""
    with _lock:
        claim = _held.pop(port, None)
    if claim is not None:
        claim.close()


def _claim(port: int) -> socket.socket | None:
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0warmstandby-lab-port-{port}")
    except OSError:
        claim.close()
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            return None
    return claim
