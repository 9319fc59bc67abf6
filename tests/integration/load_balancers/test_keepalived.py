"""keepalived's configuration of examples/ is one that it takes, and its check says who is active."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from lab.pair import Pair
from tests.integration.load_balancers.balancer import EXAMPLES, example, need
from tests.integration.load_balancers.roles import give_roles


def interface() -> str:
    """Return a network interface that can carry VRRP."""
    for path in sorted(Path("/sys/class/net").iterdir()):
        if path.name != "lo" and (path / "type").read_text().strip() == "1":
            return path.name
    pytest.skip("this machine has no network interface that keepalived would take")


def complaints(folder: Path, replacements: dict[str, str]) -> list[str]:
    """Return what keepalived does not like; nothing is started. Debian 12's ends its test with SIGTERM, well or not."""
    config = folder / "keepalived.conf"
    config.write_text(example("keepalived.conf", replacements), encoding="utf-8")
    done = subprocess.run(
        [need("setsid"), "-w", need("keepalived"), "-t", "-f", str(config)], capture_output=True, text=True, check=False
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if line != "Terminated"]
    assert said or done.returncode in (0, -15, 143), done
    return said


@pytest.mark.skipif(os.geteuid() != 0, reason="keepalived judges scripts by what root may run")
def test_keepalived_takes_the_configuration(tmp_path: Path) -> None:
    here = {
        "script_user keepalived_script": "script_user root",
        "interface eth0": f"interface {interface()}",
        "/usr/local/libexec/warmstandby/check_active": "/bin/true",
    }
    assert complaints(tmp_path, here) == []
    assert complaints(tmp_path, {**here, "rise 1": "ris 1"}) != []


async def test_the_check_says_who_is_active(pair: Pair, tmp_path: Path) -> None:
    """By its exit code; whatever goes wrong means that the node is not active."""
    need("curl")
    check = EXAMPLES / "check_active"

    async def run(*arguments: str) -> bool:
        process = await asyncio.create_subprocess_exec(check, *arguments, stderr=asyncio.subprocess.DEVNULL)
        return await process.wait() == 0

    primary, secondary = pair.nodes
    await asyncio.to_thread(give_roles, pair, primary)
    active, standby = (node.agent_url.replace("http://", "https://") for node in (primary, secondary))
    ca = str(tmp_path / "ca.pem")
    assert await run(active, ca)
    assert not await run(standby, ca)
    assert not await run(active)
    assert not await run("https://127.0.0.1:1", ca)
    primary.agent.pause()
    assert not await run(active, ca)
