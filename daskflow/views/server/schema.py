"""Tells in the OpenAPI document what a work is: routes take works as they come, so that errors name the field."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI  # noqa: TID253, only the process of the server imports this module

from daskflow.model.work import Work
from daskflow.views.server.shapes import PIPELINE

_NAME = "DepositedWork"
_PLACE = "#/components/schemas/"
_ROUTES = (("/work", "post"), ("/work", "put"))


def describe_works(app: FastAPI) -> None:
    """Let the document of an application describe the works that it takes."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            schema = Work.model_json_schema(ref_template=f"{_PLACE}{_NAME}{{model}}")
            # Tokens travel in headers.
            del schema["properties"]["token"]
            schema["properties"]["pipeline"]["pattern"] = PIPELINE
            parts = {f"{_NAME}{name}": part for name, part in schema.pop("$defs", {}).items()}
            document["components"]["schemas"] |= parts | {_NAME: schema}
            one = {"$ref": f"{_PLACE}{_NAME}"}
            for path, method in _ROUTES:
                content = document["paths"][path][method]["requestBody"]["content"]["application/json"]
                content["schema"] = {"anyOf": [{"type": "array", "items": one}, one]}
        found: dict[str, Any] = app.openapi_schema or {}
        return found

    app.openapi = openapi  # type: ignore[method-assign]
