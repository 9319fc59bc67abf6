"""What the controller answers to the other nodes: who may ask, and who is said to answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from shared.node.protocol import NODE_HEADER, PAIR_HEADER, Speaker
from tests.integration.standby_controller.stage import open_stage

ASKER = Speaker("pair", "a", "boot-of-a", 1).headers()
KEY = {"Authorization": f"Bearer {'a' * 24}"}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "credential_missing"),
        ({**ASKER, "Authorization": f"Bearer {'x' * 24}"}, "credential_invalid"),
        (KEY, "protocol_mismatch"),
        ({**KEY, **ASKER, PAIR_HEADER: "other"}, "wrong_pair"),
        ({**KEY, **ASKER, NODE_HEADER: "c"}, "forbidden"),
    ],
)
async def test_only_a_peer_is_told_what_the_controller_knows(
    newest_dsn: str, tmp_path: Path, headers: Mapping[str, str], code: str
) -> None:
    """Who calls is what the key says, not a field; a stranger is not even told who answers."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        response = await stage.http.get("/nodes/view", headers=headers)
    assert response.json()["code"] == code
    assert NODE_HEADER not in response.headers


async def test_a_peer_reads_the_view_and_who_gave_it(newest_dsn: str, tmp_path: Path) -> None:
    """As every answer between nodes it says who speaks."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        response = await stage.http.get("/nodes/view", headers={**KEY, **ASKER})
    assert response.status_code == 200, response.text
    assert response.headers[NODE_HEADER] == "b"
    view = response.json()
    assert (view["node_id"], view["state"], view["term"]) == ("b", "standby", {"epoch": 1, "owner": "a"})
    assert [reason["code"] for reason in view["reasons"]] == ["not_eligible", "unsynced"]
