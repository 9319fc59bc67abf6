"""A FastAPI application as both services have it: problems, request ids, safe headers and the documentation page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from shared.http.docs import docs_router
from shared.http.edge import Edge
from shared.http.problem import answer_with_problems, document_problems
from shared.version import VERSION


class Application(FastAPI):
    """FastAPI whose document tells of problems in their own media type."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, made once."""
        if self.openapi_schema is None:
            document_problems(super().openapi())
        return super().openapi()


def new_application(title: str, description: str, *, tags: Mapping[str, str], docs: bool = True) -> Application:
    """Return an application without routes of its own; `tags` says what each tag is about."""
    app = Application(
        title=title,
        description=description,
        version=VERSION,
        openapi_tags=[{"name": name, "description": text} for name, text in tags.items()],
        openapi_url="/openapi.json" if docs else None,
        docs_url=None,
        redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.add_middleware(Edge)
    answer_with_problems(app)
    if docs:
        app.include_router(docs_router(title))
    return app
