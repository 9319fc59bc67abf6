"""Trying to get in as an ordinary role, for the proof; a role that cannot log in anywhere proves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from shared.errors import DatabaseMissing, LoginRefused, WarmstandbyError
from shared.postgres.sessions import connect, open_session

_NO_ROOM: Final = asyncpg.TooManyConnectionsError
_REFUSALS: Final = (asyncpg.InsufficientPrivilegeError, _NO_ROOM)


class ProbeUnusable(Exception):
    """The probe role cannot log in where it should; the text says why."""


async def find_entered(dsn: str, databases: Sequence[str]) -> list[str]:
    """Return the databases that the probe role can enter; raise ProbeUnusable when its refusal would prove nothing.

    It logs in to the database of its own URL first, with the same password: what then refuses it is the fence.
    """
    try:
        async with open_session(dsn):
            pass
    except WarmstandbyError as error:
        raise ProbeUnusable(error.detail) from error
    entered = []
    for database in databases:
        try:
            session = await connect(dsn, database=database)
        except (DatabaseMissing, LoginRefused):
            continue
        except WarmstandbyError as error:
            if isinstance(error.__cause__, _REFUSALS):
                continue
            raise ProbeUnusable(error.detail) from error
        session.terminate()
        entered.append(database)
    return entered
