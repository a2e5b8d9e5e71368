"""The routes that tell where works stand, and put in order what was left."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request  # noqa: TID253, only the process of the server imports this module

from daskflow.model.access import Scope
from daskflow.views.server.answers import REFUSALS, Answer
from daskflow.views.server.bodies import AskedOnce, GuardedRoute
from daskflow.views.server.entering import check, gateway_of, needing
from daskflow.views.server.shapes import Audit, Pipeline

router = APIRouter(route_class=GuardedRoute, tags=["works"], responses=REFUSALS)

_LOOK = (Scope.read, Scope.deposit, Scope.perform)
_Counts = dict[str, int]
_DAY = 86400.0
_AUDIT = "`deposit`; `perform` is enough where `stale` is null (`daskflow work audit --stale never`)"
"""What it needs is known when it was read, and it is read of those only who may."""


@router.get("/status", dependencies=needing(*_LOOK), responses={200: {"model": _Counts}})
async def status(request: Request) -> Answer:
    """How many works have each status."""
    gateway = gateway_of(request)
    return Answer(await gateway.call(gateway.desk.status))


@router.get("/status/details/{pipeline}", dependencies=needing(*_LOOK), responses={200: {"model": _Counts}})
async def details(request: Request, pipeline: Pipeline) -> Answer:
    """How many works of a bucket have each status."""
    gateway = gateway_of(request)
    return Answer(await gateway.call(gateway.desk.status, pipeline))


@router.get("/status/pipelines", dependencies=needing(*_LOOK), responses={200: {"model": list[str]}})
async def pipelines(request: Request) -> Answer:
    """Names of the buckets that hold works."""
    gateway = gateway_of(request)
    return Answer(await gateway.call(gateway.desk.pipelines))


@router.get("/status/buckets", dependencies=needing(*_LOOK), responses={200: {"model": dict[str, _Counts]}})
async def buckets(request: Request, pipeline: Annotated[str | None, Query(max_length=128)] = None) -> Answer:
    """How many works of each bucket, or of one, have each status."""
    gateway = gateway_of(request)
    return Answer(await gateway.call(gateway.desk.statuses, pipeline))


@router.post(
    "/work/audit", dependencies=needing(Scope.perform, Scope.deposit, told=_AUDIT), responses={200: {"model": _Counts}}
)
async def audit(request: Request, asked: AskedOnce, audit: Audit) -> Answer:
    """Put in order what was left: how many works had failed, were held for too long, and waited for too long."""
    if audit.stale is not None:
        check(request, Scope.deposit, told=_AUDIT)
    gateway = gateway_of(request)
    return Answer(await gateway.call(gateway.desk.audit, audit.stale, asked))


@router.get("/audit/failed", dependencies=needing(Scope.perform, Scope.deposit), responses={200: {"model": _Counts}})
async def audit_failed(request: Request) -> Answer:
    """Queue again what failed and has attempts left."""
    gateway = gateway_of(request)
    return Answer({"failed": await gateway.call(gateway.desk.audit_failed)})


@router.get("/audit/expired", dependencies=needing(Scope.perform, Scope.deposit), responses={200: {"model": _Counts}})
async def audit_expired(request: Request) -> Answer:
    """Let fail what was held for longer than it may; the next `/audit/failed` queues what has attempts left."""
    gateway = gateway_of(request)
    return Answer({"expired": await gateway.call(gateway.desk.shelf.audit_expired)})


@router.get("/audit/stale/{days}", dependencies=needing(Scope.deposit), responses={200: {"model": _Counts}})
async def audit_stale(request: Request, days: Annotated[float, Path(ge=0, le=10_000, allow_inf_nan=False)]) -> Answer:
    """Let fail for good what waits for longer than so many days."""
    gateway = gateway_of(request)
    return Answer({"stale": await gateway.call(gateway.desk.shelf.audit_stale, days * _DAY)})
