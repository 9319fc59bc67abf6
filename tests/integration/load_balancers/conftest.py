"""A pair in front of which a load balancer stands: two servers with the application's table, agents that speak TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.cluster import Cluster
from lab.node_toml import Section
from lab.pair import Pair
from tests.integration.load_balancers.balancer import speak_tls, write_certificates
from tests.tier import MAJORS


@pytest.fixture
def pair(new_cluster: Callable[..., Cluster], tmp_path: Path) -> Iterator[Pair]:
    """Two servers that hold the application's table, agents that speak TLS and are not started."""
    issued, ca = write_certificates(tmp_path)
    clusters = [new_cluster(MAJORS[-1]) for _ in range(2)]
    for cluster in clusters:
        cluster.psql("CREATE ROLE app LOGIN; CREATE DATABASE mdm OWNER app")
        cluster.psql("CREATE TABLE beat (number bigint PRIMARY KEY)", "mdm", user="app")
    agent: Section = {"heartbeat_seconds": 0.2, "tls_certificate": str(issued), "tls_key": str(issued)}
    with Pair.create(tmp_path / "pair", *clusters, settings={"agent": agent, "tls": {"ca_file": str(ca)}}) as made:
        speak_tls(made)
        yield made
