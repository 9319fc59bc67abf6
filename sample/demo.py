"""`./demo`: a pair of nodes on this machine under a live workload, synced and compared; arguments, output, exit code.

Exit code 0 when both sides were equal after every sync, 1 when not or when something failed, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Final

from lab.binaries import BinariesError
from lab.cluster import ClusterError
from lab.identity import IdentityError
from lab.people import ApiError
from lab.service import ServiceError
from lab.template import TemplateError
from sample.story.rounds import SyncError
from sample.story.screen import Screen, open_screen
from sample.story.story import Story, Wish
from sample.workload import WorkloadError

INTERRUPTED: Final = 130
EXPLAINED: Final = (
    ApiError,
    BinariesError,
    ClusterError,
    IdentityError,
    ServiceError,
    SyncError,
    TemplateError,
    TimeoutError,
    WorkloadError,
)
"""Failures whose text says it all; anything else is shown with its traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the story and return the exit code."""
    parsed = _parser().parse_args(arguments)
    wish = Wish(
        rows=parsed.rows,
        syncs=parsed.syncs,
        pause_seconds=parsed.pause,
        rate_per_second=parsed.rate,
        seed=parsed.seed,
        stay=parsed.stay,
    )
    screen = open_screen(sys.stderr if parsed.json else sys.stdout)
    story = Story(wish, screen)
    code = asyncio.run(_play(story, screen))
    if not story.is_staying or story.report.error is not None:
        screen.say("\n" + story.report.summary())
    if parsed.json:
        print(json.dumps(story.report.as_json(), ensure_ascii=False), flush=True)
    return code


async def _play(story: Story, screen: Screen) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None, "a coroutine of asyncio.run has a task"
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop_once, task, screen)
    try:
        await story.play()
    except asyncio.CancelledError:
        if not story.is_staying:
            story.report.error = "interrupted"
            return INTERRUPTED
    except Exception as error:  # the last place that can say what happened
        cause = _innermost(error)
        headline, *logs = (str(cause) or type(cause).__name__).splitlines()
        story.report.error = headline.rstrip(":")
        screen.say("\n".join(logs) if isinstance(cause, EXPLAINED) else "".join(traceback.format_exception(cause)))
    return 0 if story.report.equal else 1


def _stop_once(task: asyncio.Task[int], screen: Screen) -> None:
    """Cancel the story; a second signal changes nothing, because taking everything down is under way."""
    if not task.cancelling():
        screen.say("Stopping …")
        task.cancel()


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./demo",
        description="Two PostgreSQL clusters, both services of both nodes, an application that goes on writing: "
        "a seed, some syncs, and after each an independent comparison of both sides. Leaves nothing behind.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line; all else on stderr")
    parser.add_argument("--stay", action="store_true", help="leave the pair running until Ctrl-C")
    parser.add_argument("--rows", type=_at_least(1000), default=500_000, help="size of the sample database (500000)")
    parser.add_argument("--syncs", type=_at_least(1), default=5, help="syncs after the seed (5)")
    parser.add_argument("--pause", type=float, default=3.0, metavar="SECONDS", help="pause between two syncs (3)")
    parser.add_argument("--rate", type=float, default=150.0, help="transactions of the application a second (150)")
    parser.add_argument("--seed", type=int, default=1, help="chance: the same number makes the same data (1)")
    return parser


def _at_least(lowest: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < lowest:
            raise argparse.ArgumentTypeError(f"at least {lowest}")
        return value

    return number


if __name__ == "__main__":
    sys.exit(main())
