"""Every state, every probe, both services of a node: one table says what is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

import httpx
import pytest
from fastapi import FastAPI

from services.primary_agent.app import build
from services.standby_controller.api import new_app
from services.standby_controller.api.parts import give_parts
from services.standby_controller.assembly import assemble
from services.standby_controller.gatekeeper import Gatekeeper
from shared.clock import SystemClock
from shared.errors import PeerError
from shared.errors.base import Refusal
from shared.node.client import Heard
from shared.node.model import State
from shared.node.probes import Probe, RoleFacts
from shared.node.protocol import Speaker
from shared.settings import Mode, Settings
from tests.integration.standby_controller.stage import (
    ScriptedAgent,
    ScriptedController,
    ScriptedCopy,
    ScriptedJournal,
    silent_agents,
)
from tests.node_file import node_settings

TEXT: Final = "MOBILEIRON-STATUS: OK"
STANDBY, PRIMARY = f"{TEXT} (Mode: Standby)", f"{TEXT} (Mode: Primary)"
LEGACY_SECONDS: Final = 60.0

#                                                        /active /standby /status/status.html  /hastatus.html
TABLE: Final[dict[RoleFacts, tuple[bool, bool, str | None, str | None]]] = {
    RoleFacts(State.UNINITIALISED):                      (False, False, None, None),
    RoleFacts(State.WAITING):                            (False, False, None, None),
    RoleFacts(State.ACTIVE):                             (True,  False, TEXT, PRIMARY),
    RoleFacts(State.ACTIVE, may_promote=True):           (True,  False, TEXT, PRIMARY),
    RoleFacts(State.ACTIVE, promoted_seconds=5):         (True,  False, TEXT, STANDBY),
    RoleFacts(State.ACTIVE, promoted_seconds=61):        (True,  False, TEXT, PRIMARY),
    RoleFacts(State.STANDBY):                            (False, True,  None, None),
    RoleFacts(State.STANDBY, may_promote=True):          (False, True,  None, STANDBY),
    RoleFacts(State.FENCED):                             (False, False, None, None),
    RoleFacts(State.FENCED, may_promote=True):           (False, False, None, None),
    RoleFacts(State.PROMOTING):                          (False, False, None, None),
    RoleFacts(State.PROMOTING, may_promote=True):        (False, False, None, None),
    RoleFacts(State.DEMOTING):                           (False, False, None, None),
    RoleFacts(State.DEMOTING, promoted_seconds=5):       (False, False, None, None),
    RoleFacts(None):                                     (False, False, None, None),
}  # fmt: skip
ROWS: Final = [pytest.param(facts, id=f"{facts.state}-{facts.may_promote}-{facts.promoted_seconds}") for facts in TABLE]


class OwnAgent(ScriptedAgent):
    """The agent that the controller asks: it says what the row says."""

    facts = RoleFacts(None)

    async def heartbeat(self) -> Heard:
        if self.facts.state is None:
            raise PeerError("no agent")
        heard = await super().heartbeat()
        told = {
            "state": self.facts.state,
            "eligible": {self.node_id: self.facts.may_promote},
            "promoted_seconds": self.facts.promoted_seconds,
        }
        heartbeat = heard.heartbeat.model_copy(update=told)
        return Heard(heartbeat, heard.sent_at, heard.received_at, heard.sent_monotonic, heard.received_monotonic)


def settings_of(folder: Path) -> Settings:
    legacy = {"legacy_standby_after_takeover_seconds": LEGACY_SECONDS}
    return node_settings(node={"state_dir": folder}, probes=legacy)


@asynccontextmanager
async def open_agent(facts: RoleFacts, folder: Path) -> AsyncIterator[FastAPI]:
    """The agent, its record as the row says; it always knows its own state."""
    agent = build(settings_of(folder))
    node = agent.node
    told = {"state": facts.state or State.WAITING, "eligible": {node.record.node_id: facts.may_promote}}
    node._record = node.record.model_copy(update=told)
    if facts.promoted_seconds is not None:
        node._promoted_at = SystemClock().monotonic() - facts.promoted_seconds
    yield agent.network


class OpenGate:
    """A gate that would let every standby promote itself."""

    refusals_automatic: tuple[Refusal, ...] = ()

    def judge(self) -> OpenGate:
        return self


@asynccontextmanager
async def open_controller(facts: RoleFacts, folder: Path, *, is_gate_open: bool = True) -> AsyncIterator[FastAPI]:
    """The controller, which has asked its own agent once; its database is not there."""
    own, peer = OwnAgent("one", Mode.PRIMARY, State.WAITING), OwnAgent("two", Mode.SECONDARY, State.STANDBY)
    own.facts, copy = facts, ScriptedCopy()
    async with assemble(
        settings_of(folder),
        SystemClock(),
        sources=[own, peer],
        controllers={"two": ScriptedController("two")},
        copy_component=copy.copy,
        clear_orphans=copy.clear,
        speaker=lambda: Speaker("lab", "one", "boot", None),
        records={"one": own, "two": peer},
        agents=silent_agents("two"),
        journal=ScriptedJournal(),
    ) as controller:
        await controller.parts.monitor.look("one")
        app, parts = new_app(docs=False), controller.parts
        give_parts(app, replace(parts, gatekeeper=cast("Gatekeeper", OpenGate())) if is_gate_open else parts)
        yield app


SERVICES: Final = {"agent": open_agent, "controller": open_controller}


@pytest.mark.parametrize("facts", ROWS)
@pytest.mark.parametrize("open_service", SERVICES.values(), ids=SERVICES)
async def test_both_services_answer_as_the_table_says(
    facts: RoleFacts, open_service: Callable[..., AbstractAsyncContextManager[FastAPI]], tmp_path: Path
) -> None:
    is_active, is_standby, status, standby_page = TABLE[facts]
    async with (
        open_service(facts, tmp_path) as app,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as http,
    ):
        for probe, is_so, text in (
            (Probe.ACTIVE, is_active, None),
            (Probe.STANDBY, is_standby, None),
            (Probe.STATUS_PAGE, status is not None, status),
            (Probe.STANDBY_PAGE, standby_page is not None, standby_page),
        ):
            for method in ("GET", "HEAD", "OPTIONS"):
                answer = await http.request(method, probe)
                assert answer.status_code == (200 if is_so else 503), probe
                assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
                assert answer.headers["Cache-Control"] == "no-store"
            body = (await http.get(probe)).text
            assert text is None or body == text
            assert is_so or TEXT not in body


async def test_the_controller_asks_the_gate_too(tmp_path: Path) -> None:
    """The standby's bit is set, and the gate knows of no sync."""
    standby = RoleFacts(State.STANDBY, may_promote=True)
    async with (
        open_controller(standby, tmp_path, is_gate_open=False) as app,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as http,
    ):
        assert (await http.get(Probe.STANDBY)).status_code == 200
        assert (await http.get(Probe.STANDBY_PAGE)).status_code == 503


def test_the_table_has_every_state_and_every_probe() -> None:
    assert {facts.state for facts in TABLE} == {None, *State}
    assert len(Probe) == 4


async def test_the_text_is_a_setting(tmp_path: Path) -> None:
    settings = node_settings(node={"state_dir": tmp_path}, probes={"text": "GOOD"})
    agent = build(settings)
    agent.node._record = agent.node.record.model_copy(update={"state": State.ACTIVE})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(agent.network), base_url="http://node") as http:
        assert (await http.get(Probe.STATUS_PAGE)).text == "GOOD"
        assert (await http.get(Probe.STANDBY_PAGE)).text == "GOOD (Mode: Primary)"
        assert (await http.get(Probe.STATUS_PAGE)).headers["Content-Type"] == "text/html; charset=utf-8"
