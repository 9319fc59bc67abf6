"""Hooks as real programs: what they are told, what is kept of what they say, and that nothing outlives its limit."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from lab.processes import start_time
from services.primary_agent.node import supervisor
from services.primary_agent.node.hooks import VARIABLES, HookResult, Hooks
from shared.clock import SystemClock
from shared.settings import Settings
from shared.surroundings import HookName, HooksSettings
from tests.node_file import node_settings

HOOK: Final = HookName.PRE_PROMOTE
LIMIT_SECONDS: Final = 1.0
AWAY: Final = "a process in another session, whose parent has ended"


class Stage:
    """Scripts as hooks, each with a place to leave its mark."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = folder / "mark"

    def settings(self, script: str, limit_seconds: float = 30.0, *, name: HookName = HOOK) -> Settings:
        path = self.folder / "hook"
        path.write_text(f"#!/bin/bash\nMARK={self.mark}\n{textwrap.dedent(script)}", encoding="utf-8")
        path.chmod(0o700)
        hooks = {name.value: (str(path), "one argument", "*"), "timeouts": {name.value: limit_seconds}}
        return node_settings().model_copy(update={"hooks": HooksSettings.model_validate(hooks)})

    def hooks(self, script: str, limit_seconds: float = 30.0, *, name: HookName = HOOK) -> Hooks:
        return Hooks(self.settings(script, limit_seconds, name=name), SystemClock())

    async def run(self, script: str, limit_seconds: float = 30.0) -> HookResult:
        result = await self.hooks(script, limit_seconds).run(HOOK, {"attempt": "a1", "peer": "two", "epoch": "17"})
        assert result is not None
        return result

    def marks(self) -> list[str]:
        return self.mark.read_text(encoding="utf-8").split() if self.mark.exists() else []

    async def pids(self, count: int) -> list[int]:
        """Wait for the pids that the script notes."""
        await eventually(lambda: len(self.marks()) >= count)
        return [int(mark) for mark in self.marks()]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def eventually(is_so: Callable[[], bool]) -> None:
    for _ in range(500):
        if is_so():
            return
        await asyncio.sleep(0.02)
    assert is_so()


def are_gone(pids: list[int]) -> bool:
    return all(start_time(pid) is None for pid in pids)


async def test_a_hook_that_is_not_configured_is_not_run(stage: Stage) -> None:
    hooks = stage.hooks("exit 1")
    assert await hooks.run(HookName.FENCE_PEER, {}) is None
    assert (hooks.has(HookName.FENCE_PEER), hooks.has(HOOK)) == (False, True)


async def test_a_hook_gets_its_arguments_as_they_are_and_no_shell(stage: Stage) -> None:
    result = await stage.run('printf "<%s>" "$@"; pwd; [ -t 0 ] && echo terminal; cat; exit 0')
    assert (result.is_success, result.exit_code, result.was_killed) == (True, 0, False)
    assert result.output_tail == "<one argument><*>/\n"


async def test_a_hook_is_told_what_is_documented_and_none_of_our_secrets(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent's own environment may hold any of its settings."""
    monkeypatch.setenv("WARMSTANDBY_NODE__KEY", "k" * 30)
    monkeypatch.setenv("PGPASSWORD", "hidden")
    result = await stage.run("env; ls /proc/self/fd")
    told = dict(line.split("=", 1) for line in result.output_tail.splitlines() if "=" in line)
    ours = {f"WARMSTANDBY_{name.upper()}" for name in VARIABLES}
    assert set(told) - {"PWD", "SHLVL", "_"} == ours | {"PATH", "HOME", "LANG"}
    assert {name: told[f"WARMSTANDBY_{name}"] for name in ("HOOK", "NODE", "PEER", "EPOCH", "ATTEMPT", "DRY_RUN")} == {
        "HOOK": "pre_promote",
        "NODE": "one",
        "PEER": "two",
        "EPOCH": "17",
        "ATTEMPT": "a1",
        "DRY_RUN": "false",
    }
    assert told["WARMSTANDBY_PEER_URL"].startswith("http")
    assert result.output_tail.splitlines()[-4:] == ["0", "1", "2", "3"]  # 3 is the folder that ls reads


async def test_an_exit_code_other_than_zero_is_a_veto(stage: Stage) -> None:
    result = await stage.run("echo the disk is old >&2; exit 3")
    assert (result.is_success, result.exit_code, result.was_killed) == (False, 3, False)
    assert result.sentence.startswith("ended with exit code 3 after 0.")
    assert result.sentence.endswith(": the disk is old")


@pytest.mark.parametrize(("mode", "said"), [(None, "No such file"), (0o600, "Permission denied")])
async def test_a_program_that_cannot_be_started_is_a_veto(tmp_path: Path, mode: int | None, said: str) -> None:
    program = tmp_path / "program"
    if mode is not None:
        program.touch(mode)
    hooks = HooksSettings(pre_promote=(str(program),))
    runner = Hooks(node_settings().model_copy(update={"hooks": hooks}), SystemClock())
    assert list(runner.faults()) == [HOOK]
    result = await runner.run(HOOK, {})
    assert result is not None
    assert (result.is_success, result.exit_code) == (False, supervisor.NOT_STARTED)
    assert said in result.output_tail


async def test_a_hook_that_ends_by_a_signal_of_its_own_is_not_called_killed(stage: Stage) -> None:
    result = await stage.run("kill -SEGV $$")
    assert (result.is_success, result.exit_code, result.was_killed) == (False, 128 + signal.SIGSEGV, False)


HANGING: Final = {
    "it hangs": ("echo $$ > $MARK; echo before; sleep 600", 1),
    "its child hangs": ("sleep 600 & echo $! $$ > $MARK; echo before; wait", 2),
    "it ignores SIGTERM": ("trap '' TERM HUP INT; echo $$ > $MARK; echo before; while :; do sleep 600; done", 1),
    "it stopped itself": ("echo $$ > $MARK; echo before; kill -STOP $$", 1),
    AWAY: ("(setsid sh -c 'echo $$ >> $0; sleep 600' $MARK & ); echo $$ >> $MARK; echo before; sleep 600", 2),
    "the processes follow each other": (
        "f() { echo $BASHPID >> $MARK; sleep 0.05; (trap '' TERM; f) & }; echo before; f; sleep 600",
        3,
    ),
}


@pytest.mark.parametrize("case", HANGING)
async def test_what_takes_longer_than_its_limit_is_killed_with_all_that_it_started(stage: Stage, case: str) -> None:
    script, count = HANGING[case]
    started = time.monotonic()
    result = await stage.run(script, LIMIT_SECONDS)
    assert time.monotonic() - started < LIMIT_SECONDS + supervisor.GRACE_SECONDS + 3
    assert (result.is_success, result.was_killed, result.is_left) == (False, True, False)
    assert result.output_tail.startswith("before\n")
    assert len(pids := await stage.pids(count)) >= count
    assert are_gone(pids)


async def test_a_hook_has_a_moment_to_tidy_up_at_its_limit(stage: Stage) -> None:
    result = await stage.run("trap 'echo tidy; exit 0' TERM; sleep 600 & wait", LIMIT_SECONDS)
    assert result.output_tail == "tidy\n"
    assert (result.is_success, result.was_killed) == (False, True)


async def test_a_hook_may_leave_something_running_that_holds_its_output(stage: Stage) -> None:
    """The hook is over when its program is; nobody waits for the rest, and it lives on."""
    started = time.monotonic()
    result = await stage.run("sleep 30 & echo $! > $MARK; echo done")
    assert time.monotonic() - started < 5
    assert (result.is_success, result.output_tail) == (True, "done\n")
    (pid,) = await stage.pids(1)
    assert not are_gone([pid])
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("megabytes", [0, 10])
async def test_whatever_it_writes_the_end_is_kept(
    stage: Stage, caplog: pytest.LogCaptureFixture, megabytes: int
) -> None:
    caplog.set_level(logging.INFO)
    result = await stage.run(
        f"echo first; head -c {megabytes * 2**20} /dev/zero | tr '\\0' 'x' | fold -w 99; echo; echo last"
    )
    assert result.is_success
    assert result.output_tail.endswith("last\n")
    assert len(result.output_tail) == (8192 if megabytes else 12)
    lines = [getattr(record, "line", None) for record in caplog.records if record.message == "hook says"]
    assert lines[0] == "first"
    assert len(lines) <= 100


async def test_a_line_without_an_end_is_bounded_too(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    result = await stage.run("head -c 3000000 /dev/zero | tr '\\0' 'x'")
    assert (result.is_success, result.output_tail) == (True, "x" * 8192)
    assert sum(len(record.getMessage()) for record in caplog.records) < 2000


async def test_secrets_are_redacted_in_what_is_kept_and_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A hook may print the configuration that it reads by itself, also across the place where the output is cut."""
    caplog.set_level(logging.INFO)
    key = node_settings().node.key.get_secret_value()
    assert len(key) > 20
    cut = 8192 - len(key) // 2 - 1
    result = await stage.run(f"echo key {key}; echo {key}; head -c {cut} /dev/zero | tr '\\0' 'x'; echo")
    assert key[-8:] not in result.output_tail
    assert not any(key in str(vars(record)) for record in caplog.records)


async def test_cancelling_kills_at_once(stage: Stage) -> None:
    """As an agent does that is stopped."""
    task = asyncio.ensure_future(stage.run(HANGING[AWAY][0]))
    pids = await stage.pids(2)
    task.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 3
    assert are_gone(pids)


async def test_what_an_agent_started_ends_with_it_however_it_ends(stage: Stage) -> None:
    """A new agent runs the hook again: the old one must not run beside it."""
    stage.hooks(HANGING[AWAY][0])
    program = f"""
        import asyncio
        from services.primary_agent.node.programs import run_program
        asyncio.run(run_program(["{stage.folder}/hook"], {{}}, limit_seconds=60, redact=str))
    """
    agent = await asyncio.create_subprocess_exec(sys.executable, "-c", textwrap.dedent(program))
    pids = await stage.pids(2)
    agent.kill()
    await agent.wait()
    await eventually(lambda: are_gone(pids))


async def test_a_killed_watcher_takes_the_program_along_and_is_told_of(stage: Stage) -> None:
    task = asyncio.ensure_future(stage.run("echo $$ $PPID > $MARK; sleep 600"))
    pid, watcher = await stage.pids(2)
    os.kill(watcher, signal.SIGKILL)
    result = await task
    assert (result.is_success, result.exit_code, result.was_killed) == (False, None, True)
    await eventually(lambda: are_gone([pid]))


async def test_the_limit_holds_while_the_agent_is_frozen(stage: Stage) -> None:
    """A machine's pause, or a starved loop, lengthens no hook."""
    task = asyncio.ensure_future(stage.run("echo $$ > $MARK; sleep 600", LIMIT_SECONDS))
    pids = await stage.pids(1)
    time.sleep(LIMIT_SECONDS + supervisor.GRACE_SECONDS + 1)  # noqa: ASYNC251  the loop is to stand still
    assert are_gone(pids)
    assert (await task).was_killed


@pytest.mark.parametrize(
    ("script", "runs"),
    [
        ("echo x >> $MARK; exit 0", 1),
        ("echo x >> $MARK; [ $(wc -l < $MARK) = 2 ]", 2),
        ("echo x >> $MARK; exit 1", 2),
    ],
)
async def test_stop_application_is_tried_again_as_its_rule_allows(stage: Stage, script: str, runs: int) -> None:
    result = await stage.hooks(script, name=HookName.STOP_APPLICATION).run_until(HookName.STOP_APPLICATION, {})
    assert result is not None
    assert len(stage.marks()) == runs
    assert result.is_success == (result.exit_code == 0)


async def test_a_hook_without_a_rule_is_run_once(stage: Stage) -> None:
    result = await stage.hooks("echo x >> $MARK; exit 1").run_until(HOOK, {})
    assert result is not None
    assert len(stage.marks()) == 1


async def test_a_hook_is_done_when_what_it_is_for_is_so(stage: Stage) -> None:
    """Exit code 0 does not mean that the database answers."""
    looks = iter([False, True])

    async def answers(_: HookResult) -> bool:
        return next(looks)

    name = HookName.STOP_APPLICATION
    assert await stage.hooks("echo x >> $MARK", name=name).run_until(name, {}, answers) is not None
    assert len(stage.marks()) == 2


async def test_what_is_to_be_stopped_is_not_started_any_more(stage: Stage) -> None:
    """A start that runs, or waits to be tried again, ends before the stop begins; one that is asked for later runs."""
    script = """
        echo $WARMSTANDBY_HOOK-$$ >> $MARK
        [ $WARMSTANDBY_HOOK = stop_application ] || exec sleep 600
    """
    start, stop = HookName.START_APPLICATION, HookName.STOP_APPLICATION
    settings = stage.settings(script, name=start)
    both = settings.hooks.model_copy(update={"stop_application": settings.hooks.start_application})
    hooks = Hooks(settings.model_copy(update={"hooks": both}), SystemClock())
    first, second = (asyncio.ensure_future(hooks.run_until(start, {})) for _ in range(2))
    await eventually(lambda: len(stage.marks()) == 1)
    stopped = await hooks.run_until(stop, {})
    assert stopped is not None
    assert stopped.is_success
    for ended in (await first, await second):
        assert ended is not None
        assert (ended.is_success, ended.was_killed) == (False, True)
    names, pids = zip(*(mark.split("-") for mark in stage.marks()), strict=True)
    assert names == (start, stop)
    assert are_gone([int(pid) for pid in pids])
    third = asyncio.ensure_future(hooks.run_until(start, {}))
    await eventually(lambda: len(stage.marks()) == 3)
    hooks.end(start)
    hooks.end(start)
    assert await third is not None
    hooks.end(start)
