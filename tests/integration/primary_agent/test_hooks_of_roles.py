"""Hooks at work in changes of roles of real agents: a veto, a hang, a crash, and what ends what."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.node import Node
from lab.pair import Pair
from lab.processes import start_time
from tests.integration.primary_agent.agents import ask_own, record_of, socket_of, start_agents, state_dir, wait_until


class Stage:
    """A pair whose hooks are one script; each run adds a line to its node's mark."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    def lines(self, node: Node) -> list[str]:
        path = mark_of(node)
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def hooks(self, node: Node) -> list[str]:
        return [line.split()[0] for line in self.lines(node)]


def mark_of(node: Node) -> Path:
    return state_dir(node) / "hooks.mark"


def command(node: Node, path: str, **body: Any) -> httpx.Response:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket_of(node))), base_url="http://agent") as client:
        return client.post(path, json=body or None)


def promote(node: Node) -> str:
    """Ask for a failover, the other node being known dead, and return the attempt."""
    attempt = uuid.uuid4().hex
    answer = command(
        node, "/node/promote", attempt_id=attempt, kind="failover", expected_epoch=1, is_by_hand=True, why="a test"
    )
    assert answer.status_code == 200, answer.text
    return attempt


def journal_of(node: Node) -> str:
    return (state_dir(node) / "journal.jsonl").read_text(encoding="utf-8")


MakeStage = Callable[..., Stage]


@pytest.fixture
def make_stage(make_pair: Callable[..., Pair], tmp_path: Path) -> Iterator[MakeStage]:
    """Make a pair; `cases` is shell code by hook, run after the line is written. Lines tell what the hook was told."""

    def make(limit_seconds: float = 30.0, **cases: str) -> Stage:
        script = tmp_path / "hook"
        branches = "".join(f"{name}) {code} ;;\n" for name, code in cases.items())
        script.write_text(
            "#!/bin/bash\n"
            f"MARK={tmp_path}/$WARMSTANDBY_NODE\n"
            "echo $WARMSTANDBY_HOOK $WARMSTANDBY_STATE_BEFORE-$WARMSTANDBY_STATE_AFTER $WARMSTANDBY_PEER"
            " $WARMSTANDBY_KIND $$ >> $MARK\n"
            f'case "$WARMSTANDBY_HOOK" in\n{branches}esac\n',
            encoding="utf-8",
        )
        script.chmod(0o700)
        names = ("pre_promote", "fence_peer", "start_application", "stop_application", "post_promote", "on_fenced")
        hooks: dict[str, Any] = {name: (str(script),) for name in names}
        pair = make_pair(settings={"hooks": {**hooks, "timeout_seconds": limit_seconds}})
        for node in pair.nodes:
            mark_of(node).symlink_to(tmp_path / node.name)
        made.append(pair)
        start_agents(pair)
        return Stage(pair)

    made: list[Pair] = []
    yield make
    for pair in made:  # agents of another pair would look after the same server
        pair.remove()


def test_a_failover_runs_its_hooks_in_order_and_tells_them_what_it_is(make_stage: MakeStage) -> None:
    stage = make_stage()
    primary, secondary = stage.pair.nodes
    primary.agent.kill()
    promote(secondary)
    secondary.agent.wait_ready(path="/active")
    wait_until(lambda: "post_promote" in stage.hooks(secondary), "all hooks have run")
    told = [" ".join(line.split()[:-1]) for line in stage.lines(secondary)]
    assert told[:2] == [f"{name} standby-active primary failover" for name in ("pre_promote", "fence_peer")]
    assert told[2:] == [f"{name} -active primary" for name in ("start_application", "post_promote")]


@pytest.mark.parametrize("hook", ["pre_promote", "fence_peer"])
def test_a_veto_abandons_the_promotion(make_stage: MakeStage, hook: str) -> None:
    stage = make_stage(**{hook: "echo the disk is old; exit 1"})
    primary, secondary = stage.pair.nodes
    primary.agent.kill()
    attempt = promote(secondary)
    wait_until(lambda: ask_own(secondary, "/node")["attempt"] is None, "the attempt is over")
    assert (record_of(secondary)["state"], record_of(secondary)["term"]["epoch"]) == ("standby", 1)
    assert secondary.agent.probe("/active") == 503
    assert f"hook {hook} ended with exit code 1: the disk is old" in journal_of(secondary)
    assert attempt in journal_of(secondary)


def test_a_hook_that_hangs_is_killed_and_is_a_veto(make_stage: MakeStage) -> None:
    stage = make_stage(1.0, pre_promote="(setsid sleep 600 &) ; pgrep -n sleep >> $MARK; sleep 600")
    primary, secondary = stage.pair.nodes
    primary.agent.kill()
    promote(secondary)
    wait_until(lambda: ask_own(secondary, "/node")["attempt"] is None, "the attempt is over")
    assert record_of(secondary)["state"] == "standby"
    assert "hook pre_promote was killed at its limit" in journal_of(secondary)
    assert all(start_time(int(line.split()[-1])) is None for line in stage.lines(secondary))


def test_an_agent_that_dies_in_a_hook_abandons_the_promotion_and_leaves_nothing(make_stage: MakeStage) -> None:
    stage = make_stage(pre_promote="exec sleep 600")
    primary, secondary = stage.pair.nodes
    primary.agent.kill()
    promote(secondary)
    wait_until(lambda: stage.hooks(secondary) == ["pre_promote"], "the hook runs")
    pid = int(stage.lines(secondary)[0].split()[-1])
    secondary.agent.kill()
    wait_until(lambda: start_time(pid) is None, "the hook is gone", 5)
    secondary.agent.start()
    secondary.agent.wait_ready(path="/standby")
    assert record_of(secondary)["attempt"] is None


def test_a_promotion_that_is_given_up_switches_nobody_off_any_more(make_stage: MakeStage) -> None:
    stage = make_stage(fence_peer="exec sleep 600")
    primary, secondary = stage.pair.nodes
    primary.agent.kill()
    attempt = promote(secondary)
    wait_until(lambda: "fence_peer" in stage.hooks(secondary), "the hook runs")
    pid = int(stage.lines(secondary)[-1].split()[-1])
    assert command(secondary, "/node/abandon", attempt_id=attempt).status_code == 200
    wait_until(lambda: start_time(pid) is None, "the hook is gone", 10)
    assert record_of(secondary)["state"] == "standby"


def test_an_application_that_is_being_started_is_stopped_when_its_node_is_fenced(make_stage: MakeStage) -> None:
    """The start is killed before the stop runs; it is not begun again on a node that does not serve."""
    stage = make_stage(start_application="exec sleep 600")
    primary, secondary = stage.pair.nodes
    primary.agent.kill()
    promote(secondary)
    wait_until(lambda: "start_application" in stage.hooks(secondary), "the application is being started")
    pid = int(stage.lines(secondary)[-1].split()[-1])
    assert command(secondary, "/node/fence").status_code == 200
    wait_until(lambda: "on_fenced" in stage.hooks(secondary), "the node is fenced")
    assert start_time(pid) is None
    after = stage.hooks(secondary)[stage.hooks(secondary).index("start_application") :]
    assert after == ["start_application", "stop_application", "on_fenced"]
    stop = next(line for line in stage.lines(secondary) if line.startswith("stop_application"))
    assert stop.split()[1:4] == ["active-fenced", "primary", "fence"]
