"""An administrator who ends our sessions again and again: syncs fail and say so, no service dies of it."""

from __future__ import annotations

import asyncio
import random
import time

from lab.people import ApiError
from tests.crash.generations import reading
from tests.crash.stage import Stage, asking, check_answers, check_told
from tests.tier import in_full_tier, rounds

_END = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE usename LIKE 'warmstandby%' AND random() < 0.2 AND pid <> pg_backend_pid()
"""


@in_full_tier
async def test_services_outlive_sessions_that_are_ended(stage: Stage, chance: random.Random) -> None:
    """The driver meets a session's end in many ways; each is a database that does not answer, and none is a bug."""
    pids = {service: service.pid for service in stage.pair.services}
    ended = []
    deadline = time.monotonic() + rounds(6.0, 40.0)

    async def end_on() -> None:
        while time.monotonic() < deadline:
            cluster = chance.choice((stage.source, stage.target))
            await asyncio.to_thread(cluster.psql, _END)
            await asyncio.sleep(chance.uniform(0.0, 0.4))

    async with reading(stage.copy_dsn) as reader, asking(stage) as answers, asyncio.TaskGroup() as group:
        group.create_task(end_on())
        while time.monotonic() < deadline:
            await stage.data.advance()
            if stage.data.now % 3 == 0:
                await stage.data.reshape()
            try:
                ended.append(await stage.read_end((await stage.sync_until(lambda _: True))["id"]))
            except ApiError as error:
                if error.status not in (None, 409, 503):
                    raise
    for sync in ended:
        check_told(sync)
    print(f"{len(ended)} syncs: {sorted(str((sync['failure'] or {}).get('code')) for sync in ended)}")
    assert {service: service.pid for service in stage.pair.services} == pids
    assert reader.wrong == []
    check_answers(answers)
    await stage.revive()
    await stage.recover()
