"""The application that a server serves."""

from __future__ import annotations

from importlib.metadata import version  # noqa: TID253, only the process of the server imports this module
from typing import Any

from fastapi import APIRouter, FastAPI, Request  # noqa: TID253, the same

from daskflow.execution.gateway.gateway import Gateway
from daskflow.execution.gateway.waiting import Crowded
from daskflow.views.server import artifacts, recorded, standing, uploads, works
from daskflow.views.server.answers import REFUSALS, Answer, answer_errors, busy, refusal
from daskflow.views.server.entering import Entrance
from daskflow.views.server.limits import SizeLimit
from daskflow.views.server.schema import describe_works
from daskflow.views.server.shapes import Version

API = 1
"""Version of the routes."""
_PUBLIC = frozenset({"/version", f"/api/v{API}/version", "/openapi.json"})
"""What needs no token: it tells what serves, and nothing of what is kept."""


def make_app(gateway: Gateway) -> FastAPI:
    """The application; each route works with the gateway.

    Notes
    -----
    All routes are there twice: at the root, as clients of CHIME/FRB call them, and under `/api/v1`.
    """
    app = FastAPI(
        title="daskflow",
        version=version("daskflow"),
        description="Works, artifacts, runs and questions.",
        default_response_class=Answer,
        redoc_url=None,
        docs_url=None,
    )
    app.state.gateway = gateway
    answer_errors(app)

    @app.exception_handler(Crowded)
    async def crowded(_: Request, __: Crowded) -> Answer:
        error = busy(5, "Too many requests wait already. Ask again.")
        return refusal(error.status, str(error), headers=error.headers)

    for router in (_versions(), works.router, standing.router, artifacts.router, uploads.router, recorded.router):
        app.include_router(router)
        app.include_router(router, prefix=f"/api/v{API}", include_in_schema=False)
    describe_works(app)
    app.add_middleware(SizeLimit, limit=gateway.request_limit)
    app.add_middleware(Entrance, gateway=gateway, public=_PUBLIC)
    return app


def _versions() -> APIRouter:
    router = APIRouter(tags=["server"], responses={429: REFUSALS[429]})

    @router.api_route("/version", methods=["GET", "HEAD"], responses={200: {"model": Version}}, include_in_schema=False)
    @router.get("/version", responses={200: {"model": Version}})
    async def versions() -> Any:
        """What serves; the only thing that is told without a token."""
        return Answer({"server": version("daskflow"), "api": API})

    return router
