"""The words of the sample application's transactions: kinds, dice, one writing statement; no transaction itself.

A transaction takes a connection inside an open transaction and its dice, and returns how many rows it wrote;
0 means that it found nothing to do.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection


class Kind(StrEnum):
    """What the application does."""

    ENROLL_DEVICE = "enroll_device"
    CHECK_IN = "check_in"
    CHANGE_STATE = "change_state"
    RETIRE_DEVICE = "retire_device"
    REPLACE_DEVICE_ID = "replace_device_id"
    SWAP_ASSET_TAGS = "swap_asset_tags"
    INSTALL_APP = "install_app"
    CREATE_USER = "create_user"
    SWAP_LOGINS = "swap_logins"
    EDIT_POLICY = "edit_policy"
    ASSIGN_POLICY = "assign_policy"
    EDIT_CONFIGURATION = "edit_configuration"
    RENAME_SETTING = "rename_setting"
    SWAP_SETTING_KEYS = "swap_setting_keys"
    MOVE_BETWEEN_MONTHS = "move_between_months"
    PURGE_EVENTS = "purge_events"
    SUMMARISE_DAY = "summarise_day"
    SEND_CREDITS = "send_credits"
    BOOK_CREDITS = "book_credits"
    TWO_PHASE_CREDITS = "two_phase_credits"
    SAVEPOINTS = "savepoints"
    ROLLBACK = "rollback"
    QUEUE_SCAN = "queue_scan"
    EMPTY_QUEUE = "empty_queue"
    BULK_UPDATE = "bulk_update"


@dataclass(frozen=True, slots=True)
class Dice:
    """The choices of one transaction: the same seed and the same limits make the same choices."""

    random: random.Random
    last_user: int
    last_app: int
    last_policy: int
    last_configuration: int
    last_account: int
    last_setting: int
    last_audit: int

    def device(self) -> uuid.UUID:
        """Choose a place in the order of device ids."""
        return uuid.UUID(int=self.random.getrandbits(128))

    def upto(self, last: int) -> int:
        """Choose a number from 1 to `last`."""
        return self.random.randint(1, max(last, 1))

    def setting(self) -> str:
        """Choose a place in the order of setting keys."""
        return f"setting/{self.upto(self.last_setting):08d}"

    def moment(self) -> datetime:
        """Choose a moment in the months that have partitions, or shortly before."""
        start = datetime(2025, 12, 28, tzinfo=UTC)
        return start + timedelta(seconds=self.random.randrange(184 * 86400), microseconds=self.random.randrange(10**6))


Transaction = Callable[[Connection, Dice], Awaitable[int]]


async def write(connection: Connection, query: str, *values: object) -> int:
    """Run one writing statement and return how many rows it wrote."""
    status = await connection.execute(query, *values)
    return int(status.rsplit(" ", 1)[-1])
