"""Transactions of the sample application: work at the desk with users, policies, configurations, settings."""

from __future__ import annotations

from typing import Final

from sample.transactions.model import Connection, Dice, write

ANY_USER: Final = "(SELECT id FROM identity.users WHERE id >= $1 ORDER BY id LIMIT 1)"
ANY_SETTING: Final = """(SELECT "Key" FROM policy."Settings" WHERE "Key" >= $1 ORDER BY "Key" LIMIT 1)"""


async def create_user(connection: Connection, dice: Dice) -> int:
    """Insert a user with two memberships; now and then delete another user."""
    user: int = await connection.fetchval(
        """INSERT INTO identity.users (login, email, full_name, roles, created_at, updated_at)
           VALUES ('new-' || $1::text, 'new@example.com', 'Neu Ünïcode', '{auditor}', now(), now()) RETURNING id""",
        f"{dice.random.getrandbits(64):x}",
    )
    rows = 1 + await write(
        connection,
        """INSERT INTO identity.memberships (joined_on, group_id, user_id)
           SELECT current_date, id, $1 FROM identity.groups ORDER BY id % 7, id LIMIT 2""",
        user,
    )
    if dice.random.random() < 0.3:
        place = dice.upto(dice.last_user)
        rows += await write(connection, f"DELETE FROM identity.users WHERE id = {ANY_USER}", place)
    return rows


async def swap_logins(connection: Connection, dice: Dice) -> int:
    """Exchange a unique value between two users by way of a third value."""
    users = await connection.fetch(
        "SELECT id, login FROM identity.users WHERE id >= $1 ORDER BY id LIMIT 2 FOR UPDATE", dice.upto(dice.last_user)
    )
    if len(users) < 2:
        return 0
    (first, first_login), (second, second_login) = users
    change = "UPDATE identity.users SET login = $2 WHERE id = $1"
    await write(connection, change, first, f"swap-{first}-{second}")
    return (
        1 + await write(connection, change, second, first_login) + await write(connection, change, first, second_login)
    )


async def edit_policy(connection: Connection, dice: Dice) -> int:
    """Change a policy's composite, bit string and document."""
    return await write(
        connection,
        """UPDATE policy.policies SET version = version + 1, flags = ~flags, applies.ends = $2::text::time,
                  rules = jsonb_set(rules, '{min_pin}', to_jsonb(version)) WHERE id = $1""",
        dice.upto(dice.last_policy),
        f"{dice.random.randrange(12, 24)}:15",
    )


async def assign_policy(connection: Connection, dice: Dice) -> int:
    """Let a function of the database assign a policy to all devices of an owner."""
    rows: int | None = await connection.fetchval(
        f"""SELECT policy.assign_to_owner($2, u.id)
            FROM (SELECT id FROM identity.users WHERE id = {ANY_USER} FOR KEY SHARE) u""",
        dice.upto(dice.last_user),
        dice.upto(dice.last_policy),
    )
    return rows or 0


async def edit_configuration(connection: Connection, dice: Dice) -> int:
    """Change a large document, or only the title beside it."""
    configuration = dice.upto(dice.last_configuration)
    if dice.random.random() < 0.5:
        change = "UPDATE policy.configurations SET title = title || '*', revision = revision + 1 WHERE id = $1"
        return await write(connection, change, configuration)
    return await write(
        connection,
        "UPDATE policy.configurations SET document = $2, source = source || '<more/>' WHERE id = $1",
        configuration,
        dice.random.randbytes(dice.random.randrange(100, 20_000)),
    )


async def rename_setting(connection: Connection, dice: Dice) -> int:
    """Change a text key."""
    return await write(
        connection,
        f"""UPDATE policy."Settings"
            SET "Key" = left("Key", 16) || '/' || $2::text, "Überschreibbar" = NOT "Überschreibbar"
            WHERE "Key" = {ANY_SETTING}""",
        dice.setting(),
        f"{dice.random.getrandbits(64):x}",
    )


async def swap_setting_keys(connection: Connection, dice: Dice) -> int:
    """Exchange the keys of two rows: both keys are there before and after, with the other's content."""
    pair = await connection.fetch(
        """SELECT "Key" FROM policy."Settings" WHERE "Key" >= $1 ORDER BY "Key" LIMIT 2 FOR UPDATE""", dice.setting()
    )
    if len(pair) < 2:
        return 0
    first, second = pair[0][0], pair[1][0]
    change = """UPDATE policy."Settings" SET "Key" = $2 WHERE "Key" = $1"""
    await write(connection, change, first, f"{first}/swap")
    return 1 + await write(connection, change, second, first) + await write(connection, change, f"{first}/swap", second)
