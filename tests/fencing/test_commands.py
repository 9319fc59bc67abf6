"""The fence of a pair as processes: closed standby, a seed into it, what units and boots ask."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.binaries import TREE
from lab.cluster import Cluster, ClusterError
from lab.database import Database
from lab.node import Node
from lab.pair import Pair, Rights
from lab.service import plain_environment
from tests.tier import MAJORS, rounds

OWNER = "shop owner"


def enters(node: Node, role: str) -> bool:
    """Say whether a role gets into the application's database."""
    try:
        node.cluster.psql("SELECT 1", "shop", user=role)
    except ClusterError:
        return False
    return True


def command(node: Node, *arguments: str) -> tuple[int, str]:
    """Run a command as on the node; return its exit code and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments, "--config", str(node.config)],
        capture_output=True,
        text=True,
        cwd=TREE,
        env=plain_environment(),
        check=False,
        timeout=60,
    )
    return done.returncode, done.stderr


@pytest.fixture(params=rounds(["hba"], ["hba", "limit"]))
def pair(request: pytest.FixtureRequest, new_cluster: Callable[..., Cluster], tmp_path: Path) -> Iterator[Pair]:
    """A pair with the documented rights and a database of an ordinary owner."""
    clusters = [new_cluster(MAJORS[0]), new_cluster(MAJORS[-1])]
    for cluster in clusters:
        cluster.psql(f'CREATE ROLE "{OWNER}" LOGIN')
    source = Database.create(clusters[0], "shop", options=f'OWNER "{OWNER}"')
    source.psql("CREATE TABLE goods (id int PRIMARY KEY); INSERT INTO goods VALUES (1)", user=OWNER)
    made = Pair.create(
        tmp_path / "pair",
        *clusters,
        databases=["shop"],
        rights=Rights.DOCUMENTED,
        fence_strength=request.param,
    )
    with made as running:
        running.start()
        yield running


def check_forcing_is_refused(node: Node) -> None:
    """By whom it is not for, and without a word on the others; what serves already is left alone."""
    force = ("force-active", "--confirm-node")
    code, said = command(node, *force, "elsewhere", "--peers-are-off")
    assert (code, "Run the command on the node" in said) == (1, True), said
    code, said = command(node, *force, node.name)
    assert (code, "--peers-are-off" in said) == (1, True), said
    code, said = command(node, *force, node.name, "--peers-are-off", "--sequence-headroom", "many")
    assert (code, "whole number" in said) == (2, True), said
    assert command(node, *force, node.name, "--peers-are-off") == (0, "")


@pytest.mark.timeout(180)
def test_a_pair_and_its_fence(pair: Pair) -> None:
    """The copy is closed from its first moment; units run on the active node alone; what is ended is opened."""
    asyncio.run(pair.sync())
    primary, secondary = pair.primary, pair.secondary
    check_forcing_is_refused(primary)
    assert [enters(node, OWNER) for node in pair.nodes] == [True, False]
    assert enters(secondary, "postgres")
    primary.cluster.psql("INSERT INTO goods VALUES (2)", "shop", user=OWNER)
    asyncio.run(pair.sync())
    assert secondary.cluster.psql("SELECT count(*) FROM goods", "shop") == "2"
    assert not enters(secondary, OWNER)
    owner = "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'warmstandby'"
    assert secondary.cluster.psql(owner, "shop") == "warmstandby"

    code, said = command(primary, "may-serve")
    assert (code, said[:19]) == (0, "this node is active")
    code, said = command(secondary, "may-serve")
    assert (code, said[:20]) == (1, "this node is standby")
    assert command(secondary, "may-serve", "--quiet") == (1, "")
    primary.agent.stop()
    code, said = command(primary, "may-serve")
    assert code == 1
    assert "does not say that it may serve" in said
    pair.stop()
    assert not enters(secondary, OWNER)

    secondary.run_command("uninstall", "--all")
    assert enters(secondary, OWNER)


@pytest.mark.timeout(180)
def test_the_list_before_a_boot(pair: Pair) -> None:
    """PostgreSQL of the active node starts closed, and its agent opens it; without a list the command says so."""
    primary = pair.primary
    if "hba_list" not in primary.config.read_text(encoding="utf-8"):
        assert command(primary, "close")[0] == 2
        return
    primary.cluster.stop()
    assert command(primary, "close")[0] == 0
    primary.cluster.start()
    assert not enters(primary, OWNER)
    asyncio.run(_wait_until_open(primary))
    pair.stop()
    assert command(primary, "close")[0] == 0
    primary.cluster.reload()
    assert command(primary, "close", "--nothing")[0] == 0
    primary.cluster.restart()
    assert enters(primary, OWNER)


async def _wait_until_open(node: Node) -> None:
    async with asyncio.timeout(30):
        while not enters(node, OWNER):  # noqa: ASYNC110  the agent is another process
            await asyncio.sleep(0.2)
