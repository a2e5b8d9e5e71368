"""The routes by which objects go to the object storage by themselves."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request  # noqa: TID253, only the process of the server imports this module
from pydantic import BaseModel, ConfigDict, Field

from daskflow.artifacts.arriving import LARGEST
from daskflow.execution.gateway.uploads import GOOD, TooMany
from daskflow.model.access import Scope
from daskflow.views.server.answers import MISSING, REFUSALS, Answer, busy
from daskflow.views.server.bodies import GuardedRoute
from daskflow.views.server.entering import gateway_of, needing
from daskflow.views.server.shapes import WHOLE, Digest

router = APIRouter(route_class=GuardedRoute, tags=["artifacts"], responses=REFUSALS)

_HEXADECIMAL = "^[0-9a-f]{32}$"
_WRITE = needing(Scope.deposit, Scope.perform)
_PATIENCE = 10.0
"""So long who asks waits for the end of a verification [s]."""
_AGAIN = 5.0
"""After this time somebody may ask again whose upload found no room [s]."""


class Announced(BaseModel):
    """An object that is to be brought, or was."""

    model_config = ConfigDict(extra="forbid", strict=True)

    digest: Digest
    size: Annotated[int, Field(ge=0, le=LARGEST), WHOLE]
    """[bytes]"""


class Begun(Announced):
    """An object that is to be brought, where some of it may have been."""

    upload: Annotated[str, Field(pattern="^([0-9a-f]{32})?$")] = ""
    """The id of an upload that is gone on with."""


class Part(BaseModel):
    """Some bytes of an object, and where to send them."""

    start: int
    """Of the first one [bytes]."""
    size: int
    """[bytes]"""
    url: str
    """Takes them by PUT, without a token."""


class Opened(BaseModel):
    """What is to be done to bring an object."""

    there: bool
    """It is there already: nothing."""
    upload: str
    """Id of the upload; empty: nothing is brought by addresses, so send it by `PUT /artifacts/objects/{digest}`."""
    parts: list[Part]
    """What has not come, at most 1000 of it: ask again when that is sent. None: say that it is completed."""
    expires: float
    """So long the addresses are good; ask again for others [s]."""


class Verified(BaseModel):
    """How far an upload is verified."""

    digest: str
    size: int
    """[bytes]"""
    verified: int
    """[bytes]"""


@router.post("/artifacts/uploads", dependencies=_WRITE, responses={200: {"model": Opened}})
async def begin(request: Request, begun: Begun) -> Answer:
    """Ask where to send an object, or what of it has not come yet."""
    gateway = gateway_of(request)
    found = await gateway.carry(gateway.objects.uploads.open, begun.digest, begun.size, begun.upload)
    parts = [slot._asdict() for slot in found.slots]
    return Answer({"there": found.there, "upload": found.upload, "parts": parts, "expires": GOOD})


_DONE: dict[int | str, dict[str, Any]] = {
    **MISSING,
    200: {"model": Verified, "description": "It is an object now."},
    202: {"model": Verified, "description": "It is being verified; ask again."},
}


@router.post("/artifacts/uploads/{upload}/completed", dependencies=_WRITE, responses=_DONE)
async def complete(
    request: Request, upload: Annotated[str, Path(pattern=_HEXADECIMAL)], announced: Announced
) -> Answer:
    """Have what was sent verified, and made an object; other bytes are refused, and forgotten."""
    uploads = gateway_of(request).objects.uploads
    digest, size = announced.digest, announced.size
    try:
        found = uploads.verify(upload, digest, size)
    except TooMany:
        raise busy(_AGAIN, "Too many uploads are verified already. Ask again.") from None
    ended = await found.wait(_PATIENCE)
    told = {"digest": digest, "size": size, "verified": found.done}
    if not ended:
        return Answer(told, 202)
    uploads.heard(upload, digest, size)
    found.future.result()
    return Answer(told | {"verified": size})
