"""Transactions of the sample application: the mixed ones, and the table of all with their weights."""

from __future__ import annotations

from typing import Final

from sample.transactions.desk import (
    assign_policy,
    create_user,
    edit_configuration,
    edit_policy,
    rename_setting,
    swap_logins,
    swap_setting_keys,
)
from sample.transactions.fleet import (
    bulk_update,
    change_state,
    check_in,
    enroll_device,
    install_app,
    replace_device_id,
    retire_device,
    swap_asset_tags,
)
from sample.transactions.model import Connection, Dice, Kind, Transaction
from sample.transactions.records import (
    book_credits,
    empty_queue,
    move_between_months,
    purge_events,
    queue_scan,
    send_credits,
    summarise_day,
)


async def use_savepoints(connection: Connection, dice: Dice) -> int:
    """Keep what was written before and after a savepoint, and take back what was written inside."""
    rows = await edit_policy(connection, dice)
    inner = connection.transaction()
    await inner.start()
    await retire_device(connection, dice)
    await send_credits(connection, dice)
    await inner.rollback()
    async with connection.transaction():
        rows += await send_credits(connection, dice)
        rows += await summarise_day(connection, dice)
    return rows


async def write_in_vain(connection: Connection, dice: Dice) -> int:
    """Write to many tables; the caller rolls all of it back."""
    rows = await enroll_device(connection, dice)
    rows += await send_credits(connection, dice)
    return rows + await retire_device(connection, dice)


TRANSACTIONS: Final[dict[Kind, tuple[int, Transaction]]] = {
    Kind.CHECK_IN: (300, check_in),
    Kind.INSTALL_APP: (120, install_app),
    Kind.CHANGE_STATE: (80, change_state),
    Kind.SEND_CREDITS: (60, send_credits),
    Kind.BOOK_CREDITS: (60, book_credits),
    Kind.TWO_PHASE_CREDITS: (10, send_credits),
    Kind.ENROLL_DEVICE: (40, enroll_device),
    Kind.RETIRE_DEVICE: (25, retire_device),
    Kind.REPLACE_DEVICE_ID: (10, replace_device_id),
    Kind.SWAP_ASSET_TAGS: (20, swap_asset_tags),
    Kind.CREATE_USER: (30, create_user),
    Kind.SWAP_LOGINS: (20, swap_logins),
    Kind.EDIT_POLICY: (20, edit_policy),
    Kind.ASSIGN_POLICY: (20, assign_policy),
    Kind.EDIT_CONFIGURATION: (40, edit_configuration),
    Kind.RENAME_SETTING: (30, rename_setting),
    Kind.SWAP_SETTING_KEYS: (20, swap_setting_keys),
    Kind.MOVE_BETWEEN_MONTHS: (30, move_between_months),
    Kind.PURGE_EVENTS: (15, purge_events),
    Kind.SUMMARISE_DAY: (30, summarise_day),
    Kind.SAVEPOINTS: (25, use_savepoints),
    Kind.ROLLBACK: (20, write_in_vain),
    Kind.QUEUE_SCAN: (40, queue_scan),
    Kind.EMPTY_QUEUE: (3, empty_queue),
    Kind.BULK_UPDATE: (2, bulk_update),
}
