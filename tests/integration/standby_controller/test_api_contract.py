"""The API against its own document: whatever it allows is answered as it says, whatever it forbids is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from lab.cluster import Cluster
from lab.database import Database
from services.standby_controller.api import new_app
from tests.contract import was_sent_whole
from tests.integration.standby_controller.process import running_controller
from tests.integration.standby_controller.test_process import make_token
from tests.tier import MAJORS, rounds

Contract = tuple[Any, dict[str, str]]

INPUTS = {"parameters", "requestBody"}
BEYOND_SCHEMAS = {
    "list_cursor_invalid",
    "window_invalid",
    "precondition_required",
    "precondition_failed",
    "config_refused",
    "confirmation_needed",
}


@pytest.fixture(scope="module")
def contract(
    shared_cluster: Callable[[int, str], Cluster], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Contract]:
    """The document of a running controller, whose calls are an administrator's."""
    database = Database.create(shared_cluster(MAJORS[-1], "source"))
    try:
        with running_controller(tmp_path_factory.mktemp("contract"), database.dsn, {}) as service:
            service.wait_ready(path="/health/live")
            headers = {"Authorization": f"Bearer {make_token(service)}"}
            yield schemathesis.openapi.from_url(f"{service.url}/openapi.json"), headers
    finally:
        database.drop()


def _operations(*, with_input: bool) -> list[tuple[str, str]]:
    paths = new_app(docs=True).openapi()["paths"]
    found = [(path, method, operation) for path, methods in paths.items() for method, operation in methods.items()]
    return [(path, method) for path, method, operation in found if not with_input or INPUTS & operation.keys()]


@pytest.mark.parametrize(("path", "method"), _operations(with_input=False))
def test_what_the_document_allows_is_answered_as_it_says(contract: Contract, path: str, method: str) -> None:
    """Status codes, media types and bodies are those of the document; only what no schema can say may be refused."""
    for_all(contract, path, method, GenerationMode.POSITIVE)


@pytest.mark.parametrize(("path", "method"), _operations(with_input=True))
def test_what_the_document_forbids_is_refused(contract: Contract, path: str, method: str) -> None:
    """As a problem, whatever it is; no input makes the service fail."""
    for_all(contract, path, method, GenerationMode.NEGATIVE)


def for_all(contract: Contract, path: str, method: str, mode: GenerationMode) -> None:
    schema, headers = contract

    @hypothesis.settings(
        max_examples=rounds(10, 200), deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(case=schema[path][method.upper()].as_strategy(generation_mode=mode))
    def holds(case: Any) -> None:
        response = case.call(headers=headers)
        assert response.status_code != 500
        if mode is GenerationMode.POSITIVE and response.status_code in (412, 422, 428):
            assert response.json()["code"] in BEYOND_SCHEMAS
        hypothesis.assume(was_sent_whole(case, response))
        case.validate_response(response, excluded_checks=[not_a_server_error, positive_data_acceptance])

    holds()
