"""Closing takes, the record holds what was taken, opening gives back exactly that: also after a crash in between."""

from __future__ import annotations

from tests.fencing.stage import OWNER, READER, Stage

TRAITS = f"""
    REVOKE CONNECT ON DATABASE shop FROM PUBLIC;
    GRANT CONNECT, TEMPORARY ON DATABASE shop TO {READER};
    GRANT CONNECT ON DATABASE shop TO warmstandby;
    ALTER DATABASE shop CONNECTION LIMIT 7;
    ALTER DATABASE shop SET default_transaction_read_only = off;
    ALTER DATABASE shop SET work_mem = '5MB';
    ALTER ROLE {READER} IN DATABASE shop SET default_transaction_read_only = on;
"""


async def test_closing_and_opening(stage: Stage, strength: str) -> None:
    fence, before = stage.fence(), stage.properties()
    assert not await fence.is_closed()
    await fence.close()
    assert fence.problem is None
    assert fence.strength == strength
    assert await fence.is_closed(), fence.problem
    assert not stage.enters(OWNER)
    proof = await fence.prove()
    assert proof.is_probed
    await fence.open()
    assert stage.properties() == before
    assert stage.writes(OWNER)
    assert not await fence.is_closed()
    assert stage.cluster.psql("SELECT count(*) FROM fence.closed", "warmstandby") == "0"
