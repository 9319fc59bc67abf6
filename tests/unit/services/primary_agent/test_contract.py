"""The agent's API keeps what its document promises, whatever it is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import assume, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import negative_data_rejection

from services.primary_agent.app import build
from tests.contract import was_sent_whole
from tests.node_file import KEYS, node_settings
from tests.tier import rounds

HEADERS = {
    "Authorization": f"Bearer {KEYS['two']}",
    "Warmstandby-Protocol": "1",
    "Warmstandby-Pair": "lab",
    "Warmstandby-Node": "two",
    "Warmstandby-Boot": "boot",
}

schema = schemathesis.openapi.from_asgi(
    "/openapi.json", build(node_settings("one", node={"state_dir": Path("/nowhere")})).network
)


@settings(max_examples=rounds(15, 200))
@schema.parametrize()
def test_answers_are_those_of_the_document(case: Case[Any]) -> None:
    """A peer with the right key and wrong ideas gets a documented answer, never a mistake of ours."""
    response = case.call(headers=HEADERS)
    assert response.status_code != 500
    assume(was_sent_whole(case, response))
    is_newer = not set(case.query) <= {parameter.name for parameter in case.operation.query}
    excluded: list[Any] = [
        not_a_server_error,
        *([negative_data_rejection] if is_newer else []),
    ]  # a newer peer may say more
    case.validate_response(response, headers=HEADERS, excluded_checks=excluded)
