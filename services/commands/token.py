"""`warmstandby token create`: makes an API token on the node itself, so that the first one needs no token."""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta

from services.commands.running import add_config, run_command
from services.standby_controller.known_pair import KnownPair
from services.standby_controller.severity import Severity
from services.standby_controller.store.audit import Action, Audit, NewEntry
from services.standby_controller.store.database import open_database
from services.standby_controller.store.events import EventKind, Events, NewEvent
from services.standby_controller.store.tokens import Role, Tokens
from shared.clock import SystemClock, format_instant
from shared.errors import RequestError
from shared.setting_values import check_name
from shared.settings import Settings


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the program."""
    text = "make API tokens for people and programs"
    actions = commands.add_parser("token", help=text, description=text).add_subparsers(required=True, metavar="ACTION")
    text = "make a token; its secret is the last line of the output, and is never shown again"
    create = actions.add_parser("create", help=text, description=text)
    create.add_argument("--name", required=True, help="whose or what for; unique on this node")
    create.add_argument("--role", required=True, choices=[role.value for role in Role], help="what it allows")
    create.add_argument("--expires-days", type=_days, metavar="DAYS", help="it ends by itself after this; else never")
    add_config(create)
    create.set_defaults(command=_run)


def _days(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 3650:
        raise argparse.ArgumentTypeError("allowed are 1 to 3650 days")
    return int(text)


def _run(parsed: argparse.Namespace) -> int:
    return run_command(parsed.config, lambda settings: _create(settings, parsed))


async def _create(settings: Settings, parsed: argparse.Namespace) -> int:
    try:
        name = check_name(parsed.name)
    except ValueError as error:
        raise RequestError(f"--name: {error}", hint="Choose another name.") from error
    now, role = SystemClock().now(), Role(parsed.role)
    expires_at = None if parsed.expires_days is None else now + timedelta(days=parsed.expires_days)
    async with open_database(settings.postgres.dsn.get_secret_value()) as database:
        await database.prepare()
        node = settings.node.id
        token, secret = await Tokens(database, KnownPair(node), node).create(name, role, now, expires_at)
        text = f"the token {token.name} ({token.role}) was made on the node"
        event = NewEvent(now, EventKind.TOKEN_CREATED, Severity.INFO, token.name, text, {"role": token.role.value})
        await Events(database, node).add(event)
        made = {"name": token.name, "role": token.role.value}
        who = f"warmstandby token on {node}"
        await Audit(database, node).add(NewEntry(now, who, Action.TOKEN_CREATED, token.id, None, made))
    until = "" if expires_at is None else f" until {format_instant(expires_at)}"
    sys.stderr.write(f"Token {token.name} ({token.role}){until}. It is not shown again:\n")
    sys.stdout.write(f"{secret}\n")
    return 0
