"""What people do with a node through the controller's API, as a program of theirs would: plain HTTP and JSON."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

Json = dict[str, Any]

POLL_SECONDS: Final = 0.1
CHANGE_PATIENCE_SECONDS: Final = 20.0
RUNNING: Final = "running"
NO_TLS: Final = False
"""The lab speaks plain HTTP; reading the machine's certificates for each client would cost 20 ms."""


class ApiError(Exception):
    """The API refused, or did not answer."""

    def __init__(self, text: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class SyncFailed(Exception):
    """A sync ended without success."""

    def __init__(self, sync: Json, text: str) -> None:
        super().__init__(text)
        self.sync = sync


class PeopleApi:
    """The API of one controller, with a token."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def get(self, path: str) -> Json:
        """Read a resource; raises ApiError."""
        return await self._ask("GET", path)

    async def start_sync(self, *, patience_seconds: float = 0.0) -> Json:
        """Start a sync and return it.

        A node that has only just started may say 503, or 409 about its peer: so long it is asked again.
        """
        deadline = time.monotonic() + patience_seconds
        while True:
            try:
                return await self._ask("POST", "/v1/syncs")
            except ApiError as error:
                is_early = error.status in (None, 409, 503) and error.code != "sync_running"
                if not is_early or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(POLL_SECONDS)

    async def post(self, path: str, body: Json | None = None) -> Json:
        """Ask for something; raises ApiError."""
        return await self._ask("POST", path, json=body or {})

    async def change_roles(self, path: str, body: Json | None = None) -> Json:
        """Begin a change of roles, wait for its end and return it; raises ApiError where it failed.

        A controller that has only just started says 503: so long it is asked again.
        """
        begun = await self._begin_change(path, body)
        while True:
            change: Json | None = (await self.get("/v1/status"))["role_change"]
            if change is not None and change["id"] == begun["id"] and change["ended_at"] is not None:
                break
            await asyncio.sleep(POLL_SECONDS)
        if change["failure"] is not None:
            raise ApiError(f"POST {path}: {change['failure']['detail']}", code=change["failure"]["code"])
        return change

    async def _begin_change(self, path: str, body: Json | None) -> Json:
        deadline = time.monotonic() + CHANGE_PATIENCE_SECONDS
        while True:
            try:
                return await self.post(path, body)
            except ApiError as error:
                if error.status not in (None, 503) or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(POLL_SECONDS)

    async def read_sync(self, sync_id: str) -> Json:
        """Read a sync; raises ApiError."""
        return await self._ask("GET", f"/v1/syncs/{sync_id}")

    async def follow_sync(self, sync_id: str, look: Callable[[Json], None] | None = None) -> Json:
        """Read a sync until it has ended, show it to `look` each time, and return how it ended."""
        while True:
            sync = await self.read_sync(sync_id)
            if look is not None:
                look(sync)
            if sync["result"] != RUNNING:
                return sync
            await asyncio.sleep(POLL_SECONDS)

    async def _ask(self, method: str, path: str, **options: Any) -> Json:
        answer: Json = (await self._send(method, path, **options)).json()
        return answer

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = await self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise ApiError(f"{method} {self._http.base_url}{path}: {str(error) or type(error).__name__}") from error
        if response.is_error:
            raise _refusal(method, path, response)
        return response


@asynccontextmanager
async def open_api(url: str, token: str) -> AsyncIterator[PeopleApi]:
    """Open the API of a controller for the time of a block."""
    async with httpx.AsyncClient(
        base_url=url, headers=_credential(token), timeout=20.0, verify=NO_TLS, trust_env=False
    ) as http:
        yield PeopleApi(http)


def change_config(url: str, token: str, patch: Json) -> None:
    """Change values of the pair's configuration, on the newest version that the nodes know; raises ApiError."""
    path = "/v1/config"
    for is_last in (False, False, True):
        present = ask_once(url, token, "GET", path)
        headers = {"If-Match": present.headers["ETag"], "Content-Type": "application/merge-patch+json"}
        try:
            ask_once(url, token, "PATCH", path, json=patch, headers=headers)
        except ApiError as error:
            if is_last or error.code != "precondition_failed":
                raise
        else:
            return


def ask_once(url: str, token: str, method: str, path: str, **options: Any) -> httpx.Response:
    """Ask a controller without an event loop; raises ApiError."""
    with httpx.Client(base_url=url, headers=_credential(token), timeout=20.0, verify=NO_TLS, trust_env=False) as http:
        try:
            response = http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise ApiError(f"{method} {url}{path}: {str(error) or type(error).__name__}") from error
    if response.is_error:
        raise _refusal(method, path, response)
    return response


def explain_sync(sync: Json) -> str:
    """Say in a line how a sync ended."""
    failure = sync.get("failure") or {}
    why = f": {failure['code']}: {failure['detail']} {failure['hint']}" if failure else ""
    return f"sync {sync['id']} {sync['result']}{why}"


def _credential(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _refusal(method: str, path: str, response: httpx.Response) -> ApiError:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    code = problem.get("code")
    text = f"{method} {path}: {response.status_code} {code or ''} {problem.get('detail') or response.text[:300]}"
    return ApiError(text, status=response.status_code, code=code)
