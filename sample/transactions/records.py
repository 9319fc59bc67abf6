"""Transactions of the sample application: partitioned records, credits, the small queue."""

from __future__ import annotations

from sample.transactions.model import Connection, Dice, write


async def move_between_months(connection: Connection, dice: Dice) -> int:
    """Give an event and an audit entry another date, so that they move to another partition."""
    rows = await write(
        connection,
        """UPDATE telemetry.events SET occurred_at = $2 WHERE (occurred_at, id) =
           (SELECT occurred_at, id FROM telemetry.events WHERE occurred_at >= $1 ORDER BY occurred_at, id LIMIT 1)""",
        dice.moment(),
        dice.moment(),
    )
    return rows + await write(
        connection,
        "UPDATE telemetry.audit_log SET at = $2 WHERE id = $1",
        dice.upto(dice.last_audit),
        dice.moment(),
    )


async def purge_events(connection: Connection, dice: Dice) -> int:
    """Delete some events in a row."""
    return await write(
        connection,
        """DELETE FROM telemetry.events WHERE (occurred_at, id) IN
           (SELECT occurred_at, id FROM telemetry.events WHERE occurred_at >= $1 ORDER BY occurred_at, id LIMIT 20)""",
        dice.moment(),
    )


async def summarise_day(connection: Connection, dice: Dice) -> int:
    """Insert or update the day's figures."""
    return await write(
        connection,
        """INSERT INTO telemetry.daily_summary (day, events, devices, severity) VALUES ($1, 1, 1, $2)
           ON CONFLICT (severity, day) DO UPDATE SET events = daily_summary.events + 1""",
        dice.moment().date(),
        dice.random.choice(("info", "warning", "critical")),
    )


async def send_credits(connection: Connection, dice: Dice) -> int:
    """Take credits from an account and put them on their way."""
    amount = dice.random.randrange(1, 50)
    taken = await write(
        connection,
        "UPDATE billing.account SET balance = balance - $2 WHERE id = $1 AND balance >= $2",
        dice.upto(dice.last_account),
        amount,
    )
    if not taken:
        return 0
    return taken + await write(
        connection,
        "INSERT INTO billing.ledger (to_account, amount, booked_at) VALUES ($1, $2, clock_timestamp())",
        dice.upto(dice.last_account),
        amount,
    )


async def book_credits(connection: Connection, dice: Dice) -> int:
    """Let credits arrive that were on their way."""
    arrived = await connection.fetchrow(
        """DELETE FROM billing.ledger WHERE reference =
           (SELECT reference FROM billing.ledger WHERE to_account >= $1 ORDER BY to_account, reference
            LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING to_account, amount""",
        dice.upto(dice.last_account),
    )
    if arrived is None:
        return 0
    return 1 + await write(connection, "UPDATE billing.account SET balance = balance + $2 WHERE id = $1", *arrived)


async def queue_scan(connection: Connection, dice: Dice) -> int:
    """Insert into the small queue and take its oldest entries."""
    rows = await write(
        connection,
        """INSERT INTO fleet.scan_queue (priority, request)
           SELECT n, jsonb_build_object('n', n) FROM generate_series(1, $1) n""",
        dice.upto(5),
    )
    return rows + await write(
        connection,
        """DELETE FROM fleet.scan_queue WHERE id IN
           (SELECT id FROM fleet.scan_queue ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED)""",
    )


async def empty_queue(connection: Connection, dice: Dice) -> int:
    """Truncate the small queue and fill it anew; gives up when a reader holds it."""
    await connection.execute("SET LOCAL lock_timeout = '200ms'")
    await connection.execute("TRUNCATE fleet.scan_queue")
    return await queue_scan(connection, dice)
