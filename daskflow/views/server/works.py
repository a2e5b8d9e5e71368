"""The routes of works."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import (  # noqa: TID253, only the process of the server imports this module
    APIRouter,
    Body,
    Query,
    Request,
)
from pydantic import Field

from daskflow.errors import TokenRefused
from daskflow.execution.gateway.filters import wanted_of
from daskflow.execution.gateway.waiting import await_rung, withdraw_within
from daskflow.model.access import Scope
from daskflow.model.work import Work
from daskflow.stores.buckets.shelf import View
from daskflow.stores.requests import Asked
from daskflow.views.server.answers import LOST, REFUSALS, Answer, Refused, listed
from daskflow.views.server.bodies import AskedOnce, GuardedRoute
from daskflow.views.server.entering import gateway_of, needing, token_of
from daskflow.views.server.shapes import Beat, Chosen, Filter, HeldWork, Lease, Locking, Look, Looked

router = APIRouter(route_class=GuardedRoute, tags=["works"], responses=REFUSALS)

# What they are is seen where they are made: here each mistake in a long list would be noted.
_WORKS = Annotated[Any, Body()]
Wait = Annotated[float, Query(ge=0, le=30, allow_inf_nan=False)]
_Named = Annotated[str, Field(pattern="^[0-9A-Za-z_-]{1,64}$")]
TICKET = "X-Ticket"


def _listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


@router.post("/work", dependencies=needing(Scope.deposit), responses={**LOST, 200: {"model": bool | list[str]}})
async def deposit(request: Request, asked: AskedOnce, works: _WORKS, return_ids: bool = False) -> Answer:
    """Queue works, all of them or none; their ids in the same order where `return_ids` is true.

    Works that have ended, with the status `success` or `failure`, are kept as they are: with what came out, and with
    their attempt and times. No agent performs them.
    """
    gateway = gateway_of(request)
    ids = await gateway.call(gateway.desk.deposit, _listed(works), asked)
    return Answer(ids if return_ids else True)


@router.post("/work/withdraw", dependencies=needing(Scope.perform), responses={200: {"model": Work | None}})
async def withdraw(
    request: Request,
    asked: AskedOnce,
    filter: Filter,
    lease: Annotated[Lease | None, Query()] = None,
    holder: Annotated[str, Query(max_length=256)] = "",
    wait: Wait = 0.0,
) -> Answer:
    """Take the queued work of the highest priority, of these the oldest; null where there is none.

    With `wait` the answer comes as soon as there is one, at the latest after so many seconds.
    """
    gateway = gateway_of(request)
    ticket = gateway.bell.ticket
    found = await withdraw_within(
        gateway,
        wanted_of(filter.model_dump(by_alias=True, exclude_none=True)),
        wait,
        gone=request.is_disconnected,
        lease=lease,
        holder=holder,
        request=asked,
        turn=uuid.uuid4().hex,
    )
    return Answer(found, headers={TICKET: ticket})


@router.get("/work/await", dependencies=needing(Scope.perform), responses={200: {"model": bool}})
async def await_deposit(
    request: Request, wait: Wait = 15.0, ticket: Annotated[str, Query(max_length=64)] = ""
) -> Answer:
    """Answer as soon as works may have been queued since the ticket was given, at the latest after `wait` seconds.

    The header `X-Ticket` of the answer, and of that to a withdrawal, is the next ticket.
    """
    bell = gateway_of(request).bell
    await await_rung(bell, ticket, wait)
    latest = bell.ticket
    return Answer(latest != ticket, headers={TICKET: latest})


@router.put("/work", dependencies=needing(Scope.perform, Scope.deposit), responses={**LOST, 200: {"model": bool}})
async def update(request: Request, asked: AskedOnce, works: _WORKS) -> Answer:
    """Write works anew, all of them or none."""
    gateway = gateway_of(request)
    await gateway.call(gateway.desk.update, _listed(works), asked, held=_performs_only(request))
    return Answer(True)


@router.post("/work/heartbeat", dependencies=needing(Scope.perform), responses={**LOST, 200: {"model": bool}})
async def heartbeat(request: Request, beat: Beat) -> Answer:
    """Hold a work for longer."""
    gateway = gateway_of(request)
    await gateway.call(gateway.desk.heartbeat, beat.id, beat.attempt, beat.lease)
    return Answer(True)


@router.post("/work/give-back", dependencies=needing(Scope.perform), responses={**LOST, 200: {"model": bool}})
async def give_back(request: Request, work: HeldWork, asked: AskedOnce) -> Answer:
    """Queue a work that is held again, as if it had not been withdrawn."""
    gateway = gateway_of(request)
    await gateway.call(gateway.desk.give_back, work.id, work.attempt, asked)
    return Answer(True)


@router.delete("/work", dependencies=needing(Scope.deposit, Scope.perform), responses={**LOST, 200: {"model": bool}})
async def delete(request: Request, ids: Annotated[list[_Named], Query(max_length=500)], asked: AskedOnce) -> Answer:
    """Delete works, no more than an address can hold; whether one of them was there."""
    return Answer(bool(await _deleted(request, ids, asked)))


@router.post(
    "/work/delete", dependencies=needing(Scope.deposit, Scope.perform), responses={**LOST, 200: {"model": int}}
)
async def delete_many(request: Request, chosen: Chosen, asked: AskedOnce) -> Answer:
    """Delete works, more than an address can hold; how many of them were there.

    A token that allows `perform` only deletes works that have succeeded, and say that their results are not kept.
    """
    return Answer(await _deleted(request, chosen.ids, asked))


async def _deleted(request: Request, ids: list[str], asked: Asked) -> int:
    gateway = gateway_of(request)
    try:
        return await gateway.call(gateway.desk.delete, ids, asked, held=_performs_only(request))
    except TokenRefused as error:
        raise Refused(403, str(error)) from None


def _performs_only(request: Request) -> bool:
    return not token_of(request).allows(Scope.deposit)


@router.post("/work/lock", dependencies=needing(Scope.deposit), responses={200: {"model": int}})
async def lock(request: Request, locking: Locking) -> Answer:
    """Lock works, so that nobody changes or deletes them, or unlock them; how many of them were there."""
    gateway = gateway_of(request)
    return Answer(await gateway.call(gateway.desk.lock, locking.ids, locking.locked))


@router.post(
    "/view",
    dependencies=needing(Scope.read, Scope.deposit, Scope.perform),
    responses={200: {"model": list[dict[str, Any]]}},
)
async def view(request: Request, look: Look) -> Answer:
    """Look at works, those deposited last first."""
    gateway = gateway_of(request)
    found = View(look.query, look.projection, look.order, look.skip, look.limit)
    return await gateway.call(lambda: listed(gateway.desk.view(found)))


@router.post(
    "/view/count", dependencies=needing(Scope.read, Scope.deposit, Scope.perform), responses={200: {"model": int}}
)
async def count(request: Request, looked: Looked) -> Answer:
    """How many works a query means."""
    gateway = gateway_of(request)
    return Answer(await gateway.call(gateway.desk.count, looked.query))
