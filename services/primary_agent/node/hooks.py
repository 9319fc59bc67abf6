"""The administrator's hooks: what each is told, how it is run and tried again. When one is due is decided elsewhere.

A hook may be run again after a crash of the agent: it must be repeatable (docs/hooks.md).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from services.primary_agent.node.programs import ProgramResult, run_program
from services.primary_agent.node.retries import ONCE, RETRIES, Tries, next_try
from shared.clock import Clock
from shared.configuration import secrets_of
from shared.log import Redactor
from shared.settings import Settings
from shared.surroundings import HookName

log = logging.getLogger(__name__)

SHOWN_LINES: Final = 100
SHOWN_CHARACTERS: Final = 500

HookResult = ProgramResult
_WAS_ENDED: Final = HookResult(None, "it was not wanted any more", 0.0, was_killed=True)


HookEnvironment = Mapping[str, str]
"""What a hook is told of the transition it belongs to: keys of VARIABLES, in small letters."""

VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "hook": "The hook's name: one program may serve several hooks.",
        "pair": "[node] pair_id.",
        "node": "This node's id.",
        "peer": "The other node of the transition; of a pair, the other node.",
        "peer_url": "That node's agent_url, as in [[peers]].",
        "state_before": "The node's state when the transition began.",
        "state_after": "The state that it leads to, or has led to.",
        "epoch": "The epoch that the node is to own, or owns.",
        "reason": "Why, as a stable name: docs/errors.md lists them.",
        "attempt": "The transition's id; the same when a hook is run again.",
        "kind": "failover, switchover, force, handover, fence or in_doubt.",
        "by_hand": "true when a person asked for it.",
        "why": "Why, for people; may hold what an administrator wrote.",
        "dry_run": "true when nothing may be changed: only say whether it would work.",
    }
)


ENDS: Final[Mapping[HookName, tuple[HookName, ...]]] = MappingProxyType(
    {HookName.STOP_APPLICATION: (HookName.START_APPLICATION,)}
)
"""Hooks that end others before they begin: nothing is started any more once it is to be stopped."""


class Hooks:
    """The hooks of [hooks]: `run` runs one, `run_until` tries it again as its rule allows.

    A hook runs once at a time: who comes second waits.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._redact = Redactor(secrets_of(settings))
        self._locks = {name: asyncio.Lock() for name in HookName}
        self._limits: dict[HookName, asyncio.Timeout] = {}
        self._ended = dict.fromkeys(HookName, 0)

    def has(self, name: HookName) -> bool:
        """Say whether a program is configured for this hook."""
        return self._settings.hooks.command(name) is not None

    def faults(self) -> dict[HookName, str]:
        """Return the hooks whose program cannot be started now, with the reason."""
        commands = {name: command for name in HookName if (command := self._settings.hooks.command(name))}
        return {
            name: f"{command[0]} is not {'executable' if Path(command[0]).exists() else 'there'}"
            for name, command in commands.items()
            if not os.access(command[0], os.X_OK)
        }

    def end(self, *names: HookName) -> None:
        """End these hooks if they run: they are killed, not tried again, and fail. Who waits to run one does not."""
        for name in names:
            self._ended[name] += 1
            limit = self._limits.get(name)
            if limit is not None and not limit.expired():
                limit.reschedule(0)

    async def run(
        self, name: HookName, environment: HookEnvironment, *, limit_seconds: float | None = None
    ) -> HookResult | None:
        """Run a hook once and return how it ended, None where none is configured; its own limit counts in any case.

        Cancelling it kills the program and all that it started.
        """
        command = self._settings.hooks.command(name)
        if command is None:
            return None
        own_limit = self._settings.hooks.limit_seconds(name)
        turn = self._ended[name]
        others = ENDS.get(name, ())
        self.end(*others)
        async with AsyncExitStack() as stack:
            for one in (name, *others):
                await stack.enter_async_context(self._locks[one])
            if self._ended[name] != turn:
                return _WAS_ENDED
            log.info("hook starts", extra={"hook": name.value, "transition": environment.get("attempt")})
            result = await self._run_unless_ended(
                name, command, environment, own_limit if limit_seconds is None else min(own_limit, limit_seconds)
            )
        fields = {
            "hook": name.value,
            "exit_code": result.exit_code,
            "was_killed": result.was_killed,
            "seconds": round(result.seconds, 3),
        }
        log.log(logging.INFO if result.is_success else logging.WARNING, "hook ended", extra=fields)
        return result

    async def run_until(
        self,
        name: HookName,
        environment: HookEnvironment,
        is_done: Callable[[HookResult], Awaitable[bool]] | None = None,
    ) -> HookResult | None:
        """Run a hook until it is done, by default when it succeeds, or its rule allows no more; return the last result.

        `is_done` looks at what the hook is for, as whether the database answers again.
        """
        rule, own_limit = RETRIES.get(name, ONCE), self._settings.hooks.limit_seconds(name)
        turn = self._ended[name]
        made: Tries | None = None
        result: HookResult | None = None
        while coming := next_try(rule, made, limit_seconds=own_limit, now=self._clock.monotonic()):
            await asyncio.sleep(coming.after_seconds)
            if self._ended[name] != turn:
                break
            now = self._clock.monotonic()
            made = Tries(1, now, now) if made is None else Tries(made.count + 1, made.first_at, now)
            result = await self.run(name, environment, limit_seconds=coming.limit_seconds)
            if result is None or self._ended[name] != turn:
                break
            if result.is_success if is_done is None else await is_done(result):
                break
        return result

    async def _run_unless_ended(
        self, name: HookName, command: Sequence[str], environment: HookEnvironment, limit_seconds: float
    ) -> HookResult:
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(None) as limit:
                self._limits[name] = limit
                return await run_program(
                    command,
                    self.variables(name, environment),
                    limit_seconds=limit_seconds,
                    redact=self._redact,
                    show=_shown(name),
                )
        except TimeoutError:
            return replace(_WAS_ENDED, seconds=self._clock.monotonic() - started)
        except asyncio.CancelledError:
            log.warning("hook cancelled", extra={"hook": name.value})
            raise
        finally:
            del self._limits[name]

    def variables(self, name: HookName, environment: HookEnvironment) -> dict[str, str]:
        """Return what the hook finds in its environment besides PATH, HOME and LANG."""
        node = self._settings.node
        urls = {peer.node_id: peer.agent_url for peer in self._settings.peers}
        peer = environment.get("peer") or (next(iter(urls)) if len(urls) == 1 else "")
        told = {
            **dict.fromkeys(VARIABLES, ""),
            "dry_run": "false",
            "by_hand": "false",
            **environment,
            "hook": name.value,
            "pair": node.pair_id,
            "node": node.id,
            "peer": peer,
            "peer_url": urls.get(peer, ""),
        }
        return {f"WARMSTANDBY_{key.upper()}": value.replace("\0", "") for key, value in told.items()}


def _shown(name: HookName) -> Callable[[str], None]:
    """Return what logs the lines of a hook, a bounded number of them."""
    left = SHOWN_LINES

    def show(line: str) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            log.info("hook says", extra={"hook": name.value, "line": line[:SHOWN_CHARACTERS]})
        elif left == -1:
            log.info("hook says more than is logged", extra={"hook": name.value})

    return show
