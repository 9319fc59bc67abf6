"""Transactions of the sample application: devices, their apps and their events."""

from __future__ import annotations

import json
import uuid
from typing import Final

from sample.transactions.model import Connection, Dice, write

ANY_DEVICE: Final = "(SELECT id FROM fleet.devices WHERE id >= $1 ORDER BY id LIMIT 1)"


async def enroll_device(connection: Connection, dice: Dice) -> int:
    """Insert a device with its apps, a certificate and a first event."""
    device = dice.device()
    rows = await write(
        connection,
        """INSERT INTO fleet.devices
                   (id, serial, model, os, address, battery, attributes, enrolled_at, updated_at)
           VALUES ($1, 'NEW' || left($1::uuid::text, 18), 'Phone Y', ROW('android', 16, 1.0), '2001:db8::1', 100,
                   $2, $3, $3)""",
        device,
        json.dumps({"imei": dice.random.randrange(10**15), "note": "new – ✓"}),
        dice.moment(),
    )
    rows += await write(
        connection,
        """INSERT INTO fleet.device_apps (installed_at, version, managed, app_id, device_id)
           SELECT now(), 1.10, true, id, $1 FROM fleet.apps WHERE id % 5 = $2 ORDER BY id LIMIT 3""",
        device,
        dice.random.randrange(5),
    )
    rows += await write(
        connection,
        """INSERT INTO fleet.certificates (serial_number, device_id, subject, fingerprint, valid)
           VALUES ($2, $1, 'CN=' || $1::uuid, sha256(convert_to($1::uuid::text, 'UTF8')), tstzrange(now(), NULL))""",
        device,
        10**31 + dice.random.getrandbits(90),
    )
    return rows + await record_event(connection, dice, device, "enrolled")


async def record_event(connection: Connection, dice: Dice, device: uuid.UUID, kind: str) -> int:
    """Insert one event of a device."""
    return await write(
        connection,
        """INSERT INTO telemetry.events (occurred_at, device_id, severity, kind, readings)
           VALUES ($1, $2, 'info', $3, $4)""",
        dice.moment(),
        device,
        kind,
        [dice.random.random(), None],
    )


async def check_in(connection: Connection, dice: Dice) -> int:
    """Update a device's telemetry and insert its events."""
    device: uuid.UUID | None = await connection.fetchval(
        f"""UPDATE fleet.devices SET last_seen_at = clock_timestamp(), battery = $2, storage_free = $3,
                   attributes = attributes
                       || jsonb_build_object('seen', coalesce((attributes->>'seen')::integer, 0) + 1)
            WHERE id = {ANY_DEVICE} RETURNING id""",
        dice.device(),
        dice.random.randrange(101),
        dice.random.random(),
    )
    if device is None:
        return 0
    return (
        1
        + await record_event(connection, dice, device, "check-in")
        + await record_event(connection, dice, device, "wifi")
    )


async def change_state(connection: Connection, dice: Dice) -> int:
    """Move a device to another state; a trigger writes the audit log."""
    state = dice.random.choice(("active", "locked", "lost"))
    return await write(connection, f"UPDATE fleet.devices SET state = $2 WHERE id = {ANY_DEVICE}", dice.device(), state)


async def retire_device(connection: Connection, dice: Dice) -> int:
    """Delete a device; apps, certificates, assignments and events go with it."""
    return await write(connection, f"DELETE FROM fleet.devices WHERE id = {ANY_DEVICE}", dice.device())


async def replace_device_id(connection: Connection, dice: Dice) -> int:
    """Change a device's key; all tables that point at it follow."""
    return await write(
        connection, f"UPDATE fleet.devices SET id = $2 WHERE id = {ANY_DEVICE}", dice.device(), dice.device()
    )


async def swap_asset_tags(connection: Connection, dice: Dice) -> int:
    """Exchange a unique value between two devices in one statement."""
    pair = await connection.fetch(
        "SELECT id, asset_tag FROM fleet.devices WHERE id >= $1 ORDER BY id LIMIT 2 FOR UPDATE", dice.device()
    )
    if len(pair) < 2:
        return 0
    return await write(
        connection,
        "UPDATE fleet.devices SET asset_tag = CASE id WHEN $1 THEN $4::bigint ELSE $2::bigint END WHERE id IN ($1, $3)",
        *pair[0],
        *pair[1],
    )


async def install_app(connection: Connection, dice: Dice) -> int:
    """Insert an app of a device, or update its version when it is there; remove another one."""
    place = dice.device()
    rows = await write(
        connection,
        f"""INSERT INTO fleet.device_apps (installed_at, version, managed, app_id, device_id)
            SELECT clock_timestamp(), 2.0, false, a.id, d.id
            FROM (SELECT id FROM fleet.devices WHERE id = {ANY_DEVICE} FOR KEY SHARE) d, fleet.apps a WHERE a.id = $2
            ON CONFLICT (device_id, app_id)
            DO UPDATE SET version = device_apps.version + 1, used = device_apps.used + '1 hour'""",
        place,
        dice.upto(dice.last_app),
    )
    return rows + await write(
        connection,
        f"DELETE FROM fleet.device_apps WHERE device_id = {ANY_DEVICE} AND app_id = $2",
        place,
        dice.upto(dice.last_app),
    )


async def bulk_update(connection: Connection, dice: Dice) -> int:
    """Update a twentieth of the installed apps at once."""
    place = dice.random.randrange(0, 243)
    return await write(
        connection,
        """UPDATE fleet.device_apps SET used = used + '1 minute' WHERE device_id >= $1 AND device_id < $2""",
        uuid.UUID(int=place << 120),
        uuid.UUID(int=(place + 12) << 120),
    )
