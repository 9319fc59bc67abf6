"""Nodes that no longer trust each other, or no longer speak the same protocol: no death, and no obstacle to serving."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from lab.node_toml import lay_over
from lab.pair import Pair
from lab.people import Json
from shared.node.model import PROTOCOL_MAX
from tests.failover.conftest import Open
from tests.failover.stage import QUICK, Stage

DETECTED_SECONDS = 3.0
"""Longer than it takes to believe a silence with the settings of these tests."""


def write_certificate(folder: Path, authority: trustme.CA, *, days: float) -> None:
    """Write a certificate with its key for this machine, that expires in so many days."""
    until = datetime.now(UTC) + timedelta(days=days)
    issued = authority.issue_cert("127.0.0.1", "localhost", not_after=until)
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "node.pem")


async def speak_tls(pair: Pair) -> None:
    """Have all nodes name each other by https, before they start."""
    for node in pair.nodes:
        node.config.write_text(node.config.read_text().replace('_url = "http://', '_url = "https://'))
        for service in node.services:
            service.url = service.url.replace("http://", "https://")


async def remains(stage: Stage) -> None:
    """Let time pass in which nobody may be promoted."""
    for _ in range(int(DETECTED_SECONDS / 0.1)):
        assert [await stage.state(node) for node in stage.pair.nodes] == ["active", "standby"]
        await asyncio.sleep(0.1)


async def refusals(stage: Stage) -> list[Json]:
    """Wait until the standby has told that its peer refuses, and return the events."""

    async def told() -> Any:
        return (await stage.ask(stage.secondary, "GET", "/v1/events?kind=peer_refused"))["items"]

    found: list[Json] = await stage.until(told, "the standby says that its peer is not trusted")
    return found


@pytest.mark.timeout(300)
async def test_expired_certificates_on_both_nodes_are_no_death_and_do_not_keep_a_node_from_serving(
    open_pair: Open, tmp_path: Path
) -> None:
    """F52: the standby says what is wrong and stays one; when the host really dies, its own promotion works."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    write_certificate(tmp_path, authority, days=30)
    pem = str(tmp_path / "node.pem")
    tls = {"tls_certificate": pem, "tls_key": pem}
    settings = lay_over(QUICK, {"agent": tls, "controller": tls, "tls": {"ca_file": str(tmp_path / "ca.pem")}})
    async with open_pair(settings=settings, prepare=speak_tls) as stage:
        write_certificate(tmp_path, authority, days=-1)
        for node in stage.pair.nodes:
            for service in node.services:
                await asyncio.to_thread(service.restart)
        for node in stage.pair.nodes:
            await stage.becomes(node, "active" if node is stage.primary else "standby")

        event, *_ = await refusals(stage)
        assert "certificate" in event["text"]
        await remains(stage)
        await stage.kill_host(stage.primary)
        await stage.becomes(stage.secondary, "active")


@pytest.mark.timeout(300)
async def test_a_release_that_shares_no_protocol_is_named_and_is_no_death(open_pair: Open) -> None:
    """F53: a standby that was upgraded too far says so and stays one; with the old release all is as before."""
    async with open_pair() as stage:
        standby = stage.secondary
        known = [service.program for service in standby.services]
        for service in standby.services:
            service.program, service.is_reared = ("-m", "tests.failover.release", str(PROTOCOL_MAX + 7)), False
            await asyncio.to_thread(service.restart)
        await stage.becomes(standby, "standby")

        event, *_ = await refusals(stage)
        assert "speaks protocol" in event["text"]
        await remains(stage)
        status = await stage.status(standby)
        assert (status["protected"], [reason["code"] for reason in status["reasons"]]) == (
            False,
            ["version_incompatible"],
        )
        for service, program in zip(standby.services, known, strict=True):
            service.program = program
            await asyncio.to_thread(service.restart)
        await stage.is_protected()
