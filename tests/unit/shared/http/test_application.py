"""Every answer that is no success has one form, and every answer keeps browsers safe."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import Body

from shared.errors import CredentialMissing, DatabaseUnreachable, NotActive, Refusal, RequestError
from shared.http.application import Application, new_application
from shared.http.problem import problem_responses


class GateRefused(NotActive):
    """The gate is shut."""

    refusals = (Refusal("data_age", "The data is old.", "data_age"),)


@pytest.fixture
def app() -> Application:
    app = new_application("Title", "Text.", tags={"nodes": "of nodes"})

    @app.get("/raise/{name}", operation_id="raise", responses=problem_responses(NotActive, CredentialMissing))
    async def fail(name: str) -> None:
        errors = {
            "expected": DatabaseUnreachable("no server at db"),
            "login": CredentialMissing("no header"),
            "gate": GateRefused("not now"),
            "unexpected": ZeroDivisionError("password=geheim"),
        }
        raise errors[name]

    @app.post("/number", operation_id="number")
    async def number(value: int = Body(embed=True)) -> int:
        return value

    @app.get("/number", operation_id="readNumber")
    async def read_number() -> int:
        return 1

    return app


@pytest.fixture
async def client(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/raise/expected", 503, "database_unreachable"),
        ("GET", "/raise/login", 401, "credential_missing"),
        ("GET", "/raise/gate", 409, "not_active"),
        ("GET", "/raise/unexpected", 500, "internal"),
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/number", 405, "method_not_allowed"),
        ("POST", "/number", 422, "request_invalid"),
    ],
)
async def test_every_refusal_has_one_form(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    response = await client.request(method, path)
    problem = response.json()
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert problem["type"] == f"urn:warmstandby:{code}"
    assert all(problem[key] for key in ("title", "detail", "hint"))


async def test_a_passing_trouble_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    assert (await client.get("/raise/expected")).headers["Retry-After"] == "5"


async def test_a_missing_login_says_how_to_log_in(client: httpx.AsyncClient) -> None:
    assert (await client.get("/raise/login")).headers["WWW-Authenticate"] == "Bearer"


async def test_a_wrong_method_lists_the_right_ones(client: httpx.AsyncClient) -> None:
    assert (await client.delete("/number")).headers["Allow"] == "GET, POST"


async def test_a_gate_gives_every_reason(client: httpx.AsyncClient) -> None:
    assert (await client.get("/raise/gate")).json()["refusals"] == [
        {"code": "data_age", "text": "The data is old.", "override": "data_age"}
    ]


async def test_an_invalid_request_is_explained_without_its_content(client: httpx.AsyncClient) -> None:
    """What was sent may be a secret in the wrong place."""
    response = await client.post("/number", json={"value": "geheim"})
    assert "body.value" in response.json()["detail"]
    assert "geheim" not in response.text


async def test_a_mistake_of_ours_is_logged_once_and_told_without_details(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await client.get("/raise/unexpected")
    assert "geheim" not in response.text
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == ["unexpected error"]


async def test_every_answer_has_an_id_and_keeps_browsers_safe(client: httpx.AsyncClient) -> None:
    given = await client.get("/nowhere", headers={"X-Request-ID": "abcd-1234"})
    assert given.headers["X-Request-ID"] == "abcd-1234"
    forged = await client.get("/nowhere", headers={"X-Request-ID": "a b\tlog=forged"})
    assert forged.headers["X-Request-ID"].isalnum()
    for name in ("X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy", "Cache-Control"):
        assert name in given.headers


async def test_the_documentation_page_asks_no_other_host(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert "://" not in page.text
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "<script>" not in page.text
    for path in ("docs/init.js", "docs/swagger-ui-bundle.js", "docs/swagger-ui.css", "docs/favicon.png"):
        asset = await client.get(f"/{path}")
        assert asset.status_code == 200
        assert path in page.text


async def test_a_closed_documentation_is_not_there() -> None:
    app = new_application("Title", "Text.", tags={}, docs=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        for path in ("/docs", "/openapi.json", "/docs/init.js"):
            assert (await client.get(path)).status_code == 404


def test_the_document_has_problems_in_their_media_type(app: Application) -> None:
    document = app.openapi()
    responses = document["paths"]["/raise/{name}"]["get"]["responses"]
    assert responses["409"]["content"] == {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
    }
    assert "`credential_missing`: " in responses["401"]["description"]
    invalid = document["paths"]["/number"]["post"]["responses"]["422"]
    assert list(invalid["content"]) == ["application/problem+json"]
    assert RequestError.code in invalid["description"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
