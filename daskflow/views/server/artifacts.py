"""The routes of artifacts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request  # noqa: TID253, only the process of the server imports this module
from pydantic import BaseModel, ConfigDict
from starlette.responses import RedirectResponse, Response, StreamingResponse  # noqa: TID253, the same

from daskflow.execution.gateway.gateway import Gateway
from daskflow.execution.gateway.objects import Piece
from daskflow.model.access import Scope
from daskflow.views.server.answers import MISSING, REFUSALS, Answer, Refusal, Refused
from daskflow.views.server.bodies import GuardedRoute
from daskflow.views.server.entering import gateway_of, needing
from daskflow.views.server.shapes import Digest

router = APIRouter(route_class=GuardedRoute, tags=["artifacts"], responses={**REFUSALS, **MISSING})

# A word between slashes is neither empty nor `.` nor `..`; what is wrong with a name is told by who keeps names.
_WORD = r"(?:[^/.@][^/@]*|\.[^/.@][^/@]*|\.\.[^/@]+)".replace("@", r"\x00-\x1f\x7f-\x9f")
_NAME = {"pattern": f"^{_WORD}(?:/{_WORD})*$"}
Name = Annotated[str, Path(min_length=1, max_length=512, json_schema_extra=_NAME)]
Via = Annotated[Literal["link", "server"], Query()]
_READ = needing(Scope.read, Scope.perform)
_WRITE = needing(Scope.deposit, Scope.perform)
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
_PARTS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes.", **_BYTES},
    206: {"description": "The part that `Range` asks for.", **_BYTES},
    304: {"description": "Who asks has the bytes already."},
    307: {"description": "The object storage itself has them."},
    416: {"model": Refusal, "description": "There is no such part."},
}
_UPLOAD = {"requestBody": {"required": True, **_BYTES}}


class NamedObject(BaseModel):
    """What a name stands for."""

    name: str
    digest: str
    size: int
    """[bytes]"""
    kind: str
    """`file` or `tree`."""
    time: float
    """When the name was given; seconds since the epoch [s]."""
    source: str


class Naming(BaseModel):
    """What a name is to stand for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    digest: Digest
    """Of an object that is in the store."""
    kind: Literal["file", "tree"] = "file"
    create: bool = False
    """A name that stands for something is left as it is; the answer says what it stands for."""


class Stored(BaseModel):
    """An object that was stored."""

    digest: str
    size: int
    """[bytes]"""


@router.get("/artifacts", dependencies=_READ, responses={200: {"model": list[NamedObject]}})
async def names(
    request: Request,
    prefix: Annotated[str, Query(max_length=512)] = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> Answer:
    """The names that begin so, in their order."""
    gateway = gateway_of(request)
    return Answer([named._asdict() for named in await gateway.call(gateway.objects.names, prefix, limit)])


@router.get("/artifacts/names/{name:path}", dependencies=_READ, responses={200: {"model": NamedObject}})
async def named(request: Request, name: Name) -> Answer:
    """What a name stands for."""
    gateway = gateway_of(request)
    return Answer((await gateway.call(gateway.objects.find, name))._asdict())


@router.put("/artifacts/names/{name:path}", dependencies=_WRITE, responses={200: {"model": NamedObject}})
async def give(request: Request, name: Name, naming: Naming) -> Answer:
    """Let a name stand for an object that is in the store."""
    gateway = gateway_of(request)
    given = await gateway.call(gateway.objects.give, name, naming.digest, naming.kind, create=naming.create)
    return Answer(given._asdict())


@router.get("/artifacts/objects/{digest}", dependencies=_READ, responses=_PARTS, response_class=Response)
async def object(request: Request, digest: Digest, via: Via = "link") -> Response:
    """An object, or a part of it; by a link to the object storage where there is one, unless `via` is `server`."""
    return await _given(request, digest, via)


@router.get("/artifacts/files/{name:path}", dependencies=_READ, responses=_PARTS, response_class=Response)
async def file(request: Request, name: Name, via: Via = "link") -> Response:
    """The file that a name stands for; as an object."""
    gateway = gateway_of(request)
    return await _given(request, await gateway.call(gateway.objects.digest_of, name), via)


@router.put(
    "/artifacts/objects/{digest}", dependencies=_WRITE, responses={200: {"model": Stored}}, openapi_extra=_UPLOAD
)
async def store(request: Request, digest: Digest) -> Answer:
    """Store bytes whose digest is known; other bytes are refused."""
    found, size = await _taken(request, digest)
    return Answer({"digest": found, "size": size})


@router.put(
    "/artifacts/files/{name:path}", dependencies=_WRITE, responses={200: {"model": NamedObject}}, openapi_extra=_UPLOAD
)
async def upload(request: Request, name: Name) -> Answer:
    """Store a file under a name."""
    gateway = gateway_of(request)
    await gateway.call(gateway.objects.check, name)
    digest, _ = await _taken(request, "")
    return Answer((await gateway.call(gateway.objects.give, name, digest, "file"))._asdict())


async def _given(request: Request, digest: str, via: str) -> Response:
    gateway = gateway_of(request)
    if f'"{digest}"' in request.headers.get("if-none-match", ""):
        await gateway.call(gateway.objects.piece, digest, None)
        return Response(status_code=304, headers={"ETag": f'"{digest}"'})
    link = await gateway.call(gateway.objects.link, digest) if via == "link" else None
    if link is not None:
        return RedirectResponse(link, 307, {"Cache-Control": "no-store"})
    span = _span(request, digest)
    piece = await gateway.call(gateway.objects.piece, digest, span)
    if piece is None:
        whole = await gateway.call(gateway.objects.piece, digest, None)
        raise Refused(416, "The object has no such part.", {"Content-Range": f"bytes */{whole.size if whole else 0}"})
    headers = {"ETag": f'"{digest}"', "Accept-Ranges": "bytes", "Content-Length": str(piece.stop - piece.start)}
    if span is not None:
        headers["Content-Range"] = f"bytes {piece.start}-{piece.stop - 1}/{piece.size}"
    return StreamingResponse(
        _blocks(gateway, piece), 206 if span is not None else 200, headers, "application/octet-stream"
    )


def _span(request: Request, digest: str) -> tuple[int | None, int | None] | None:
    """First and last byte that are asked for; None where that is all, or more than one part."""
    found = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if found is None or request.headers.get("if-range", f'"{digest}"') != f'"{digest}"':
        return None
    first, last = (int(text) if text else None for text in found.groups())
    if (first is None and last is None) or (first is not None and last is not None and last < first):
        return None
    return first, last


async def _blocks(gateway: Gateway, piece: Piece) -> AsyncIterator[bytes]:
    at = piece.start
    while at < piece.stop:
        block = await gateway.carry(gateway.objects.read, piece, at)
        yield block
        at += len(block)


async def _taken(request: Request, digest: str) -> tuple[str, int]:
    gateway = gateway_of(request)
    incoming = await gateway.carry(gateway.objects.new)
    try:
        async for data in request.stream():
            await gateway.carry(incoming.write, data)
        return await gateway.carry(incoming.keep, digest)
    finally:
        await gateway.carry(incoming.close)
