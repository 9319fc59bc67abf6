"""Load balancers as real programs in front of a pair, with the configurations of examples/ at other addresses."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import trustme

from lab import ports
from lab.binaries import TREE
from lab.node import Node
from lab.pair import Pair

PATIENCE_SECONDS: Final = 60.0
EXAMPLES: Final = TREE / "examples" / "load_balancers"
_PLACES: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"


def need(program: str) -> str:
    """Return where a program is; without it the test is skipped, but not where everything must be tested."""
    found = shutil.which(program, path=_PLACES)
    if found is not None:
        return found
    advice = f"{program} is not installed: its example is not tested (.ci/run names the packages)"
    if os.environ.get("CI"):
        pytest.fail(advice)
    pytest.skip(advice)


def example(name: str, replacements: Mapping[str, str]) -> str:
    """Return an example with other addresses in it; each that is replaced must be there."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    for old, new in replacements.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextmanager
def running(command: list[str], folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a balancer in the foreground for the time of a block; it takes connections from the start.

    It ends with this process, however that ends.
    """
    log = folder / "balancer.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [need("setpriv"), "--pdeathsig", "KILL", *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + 20
        while not _accepts(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def reserved(*names: str) -> Iterator[dict[str, int]]:
    """Hold free ports for the time of a block."""
    held = {name: ports.reserve_port() for name in names}
    try:
        yield held
    finally:
        for port in held.values():
            ports.release_port(port)


def write_certificates(folder: Path) -> tuple[Path, Path]:
    """Write a certificate with its key for both nodes of the examples, and that of its authority."""
    authority = trustme.CA()
    issued, ca = folder / "node.pem", folder / "ca.pem"
    names = ("one.example", "two.example", "127.0.0.1", "localhost")
    authority.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(issued)
    authority.cert_pem.write_to_path(ca)
    return issued, ca


def speak_tls(pair: Pair) -> None:
    """Have the agents ask each other over TLS."""
    for node in pair.nodes:
        text = node.config.read_text(encoding="utf-8").replace('agent_url = "http://', 'agent_url = "https://')
        node.config.write_text(text, encoding="utf-8")


def port_of(node: Node) -> int:
    """Return where the node's agent listens."""
    return int(node.agent_url.rpartition(":")[2])


async def eventually(is_so: Callable[[], bool], what: str) -> None:
    for _ in range(int(PATIENCE_SECONDS / 0.05)):
        if is_so():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {PATIENCE_SECONDS} s: {what}")
