"""Names of other people's servers, looked up where it holds up nobody: a resolver that hangs keeps its own thread."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import Final

from shared.http.tls import client_context

MOST_HANGING: Final = 8
LONGEST_PROBLEM: Final = 300

_hanging = threading.BoundedSemaphore(MOST_HANGING)


async def look_up(host: str, port: int) -> tuple[str, ...]:
    """Return the addresses of a host; raises OSError.

    The threads of the process are for those who look up the peers; these are others, and at most a few.
    """
    with contextlib.suppress(ValueError):
        return (str(ipaddress.ip_address(host.strip("[]"))),)
    if not _hanging.acquire(blocking=False):
        raise OSError("names are not looked up: those that were asked before hang")
    loop = asyncio.get_running_loop()
    found: asyncio.Future[tuple[str, ...]] = loop.create_future()

    def settle(addresses: tuple[str, ...], error: OSError | None) -> None:
        if found.done():
            return
        if error is None:
            found.set_result(addresses)
        else:
            found.set_exception(error)

    def ask() -> None:
        addresses: tuple[str, ...] = ()
        problem: OSError | None = None
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))
        except (OSError, UnicodeError) as error:
            problem = error if isinstance(error, OSError) else OSError(f"{host} is no name of a host")
        finally:
            _hanging.release()
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, addresses, problem)

    threading.Thread(target=ask, daemon=True, name=f"look up {host}").start()
    return await found


async def connect(host: str, port: int) -> socket.socket:
    """Return a connected socket; raises OSError, of the last address that was tried."""
    loop = asyncio.get_running_loop()
    problem = OSError(f"{host} has no address")
    for address in await look_up(host, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setblocking(False)
        try:
            await loop.sock_connect(made, (address, port))
        except OSError as error:
            made.close()
            problem = error
        except BaseException:
            made.close()
            raise
        else:
            return made
    raise problem


def describe(host: str, error: Exception | None) -> str:
    """Return in a line why a server was not reached."""
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and cause.errno):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause, ssl.SSLError | socket.gaierror):
        return f"{host}: {os.strerror(cause.errno)}"
    text = " ".join(str(error).split()) if error else ""
    return f"{host}: {text or type(error).__name__}"[:LONGEST_PROBLEM]


def outward_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the machine's authorities and the pair's own; raises ConfigurationError."""
    context = client_context(None)
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context
