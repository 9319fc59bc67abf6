"""The sockets that a service listens on: TCP, and a unix socket that only its own user can open."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path
from typing import Final

from shared.errors import ConfigurationError, PlaintextRefused
from shared.settings import ListenSettings

_BACKLOG: Final = 128
_LONGEST_PATH_BYTES: Final = 107


def bind_tcp(listen: ListenSettings, section: str) -> socket.socket:
    """Return a bound socket; raise PlaintextRefused beyond loopback without TLS, ConfigurationError if it cannot be."""
    key = f'[{section}] listen = "{listen.listen}"'
    if not listen.has_tls and not listen.is_loopback and not listen.allow_plaintext:
        raise PlaintextRefused(f"{key}: is reachable from other machines, and the service has no TLS")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(f"{key}: {error.strerror}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise ConfigurationError(f"{key}: {error.strerror}") from error
    bound.setblocking(False)
    return bound


def bind_unix(path: Path) -> socket.socket:
    """Return a bound unix socket of mode 0600; one left behind by a dead process is replaced, a living one is not."""
    key = f'[agent] socket = "{path}"'
    if len(os.fsencode(path)) > _LONGEST_PATH_BYTES:
        raise ConfigurationError(f"{key}: the path of a unix socket has at most {_LONGEST_PATH_BYTES} bytes")
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        _remove_stale(path, key)
        bound.bind(str(path))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise ConfigurationError(f"{key}: {error.strerror}") from error
    except ConfigurationError:
        bound.close()
        raise
    finally:
        os.umask(umask)
    bound.setblocking(False)
    return bound


def _remove_stale(path: Path, key: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigurationError(f"{key}: something that is no socket is in its place")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
                return
        raise ConfigurationError(f"{key}: another process answers there", hint="Is the service running already?")
