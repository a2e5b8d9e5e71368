"""The routes of runs and of the questions that they ask."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request  # noqa: TID253, only the server imports this module
from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

from daskflow.execution.asking.forms import takes
from daskflow.model.access import Scope
from daskflow.model.records import EventRecord, JobRecord, QuestionRecord
from daskflow.views.server.answers import MISSING, REFUSALS, Answer
from daskflow.views.server.bodies import GuardedRoute
from daskflow.views.server.entering import gateway_of, needing, token_of
from daskflow.views.terminal import run_fields

router = APIRouter(route_class=GuardedRoute, tags=["runs"], responses={**REFUSALS, **MISSING})

Ident = Annotated[str, Path(min_length=1, max_length=256)]
_Limit = Annotated[int, Query(ge=1, le=100_000)]
_READ = needing(Scope.read)
_Fields = dict[str, Any]


class Reply(BaseModel):
    """An answer to a question: the whole `value`, or some `fields` of it; nothing: the default."""

    model_config = ConfigDict(extra="forbid")

    value: Any = None
    fields: dict[str, Any] = {}


class Cancelled(BaseModel):
    """A run that was cancelled."""

    run: dict[str, Any]
    ended: bool
    """Whether its driver has heard of it."""


class NumberedEvent(EventRecord):
    """Something that happened."""

    ordinal: int
    """Grows from event to event, in the order in which they were recorded."""


def _plain(value: Any) -> Answer:
    """What was recorded, as JSON: bytes are in base64, and what JSON has not is null."""
    answer = Answer(None)
    answer.body = to_json(value, inf_nan_mode="null", bytes_mode="base64", fallback=str)
    answer.headers["content-length"] = str(len(answer.body))
    return answer


@router.get("/runs", dependencies=_READ, responses={200: {"model": list[_Fields]}})
async def runs(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    flow: Annotated[str | None, Query(max_length=256)] = None,
) -> Answer:
    """Runs, the newest first."""
    gateway = gateway_of(request)
    return _plain([run_fields(record) for record in await gateway.call(gateway.runs.runs, limit, flow)])


@router.get("/runs/{run}", dependencies=_READ, responses={200: {"model": _Fields}})
async def run(request: Request, run: Ident) -> Answer:
    """One run, by its id or how only one id begins: its jobs by state, its failures, what it used."""
    gateway = gateway_of(request)
    found = await gateway.call(gateway.runs.run, run)
    return _plain(
        {
            "run": run_fields(found.run),
            "seconds": found.seconds,
            "cpu": found.cpu,
            "memory": found.memory,
            "counts": found.counts,
            "failures": [{"number": f.job.number, "key": f.job.key, "error": f.error} for f in found.failures],
        }
    )


@router.get("/runs/{run}/jobs", dependencies=_READ, responses={200: {"model": list[JobRecord]}})
async def jobs(
    request: Request,
    run: Ident,
    state: Annotated[str | None, Query(max_length=32)] = None,
    task: Annotated[str | None, Query(max_length=256)] = None,
    limit: _Limit = 10_000,
    after: Annotated[int, Query(ge=-1, lt=2**31)] = -1,
) -> Answer:
    """The jobs of a run, or those in a state or of a task; those after a number, in the order of their numbers."""
    desk = gateway_of(request).runs

    def found() -> Answer:
        records = (record for record in desk.jobs(run, state, task) if record.number > after)
        return _plain([record.model_dump() for record in islice(records, limit)])

    return await gateway_of(request).call(found)


@router.get("/runs/{run}/events", dependencies=_READ, responses={200: {"model": list[NumberedEvent]}})
async def events(
    request: Request,
    run: Ident,
    kind: Annotated[str, Query(max_length=256)] = "*",
    after: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    limit: _Limit = 10_000,
) -> Answer:
    """What happened in a run and in those that it started, as it was recorded; only events of a kind such as `qa.*`.

    Who asks for those after the `ordinal` of the last one that it has misses none, and gets none twice.
    """
    desk = gateway_of(request).runs

    def found() -> Answer:
        told = desk.events(run, kind, after, limit)
        return _plain([{"ordinal": ordinal, **record.model_dump()} for ordinal, record in told])

    return await gateway_of(request).call(found)


@router.get("/runs/{run}/reports", dependencies=_READ, responses={200: {"model": list[_Fields]}})
async def reports(request: Request, run: Ident, content: bool = False) -> Answer:
    """What a run reported; pictures and the like come with `content`, in base64."""
    desk = gateway_of(request).runs

    def found() -> Answer:
        reported = desk.reports(run)
        return _plain([dict(record) if content else record.model_dump(exclude={"content"}) for record in reported])

    return await gateway_of(request).call(found)


@router.post("/runs/{run}/cancel", dependencies=needing(Scope.admin), responses={200: {"model": Cancelled}})
async def cancel(request: Request, run: Ident) -> Answer:
    """Cancel a run, and those that it started."""
    gateway = gateway_of(request)
    record, ended = await gateway.call(gateway.runs.cancel, run)
    return _plain({"run": run_fields(record), "ended": ended})


@router.get("/questions", dependencies=_READ, responses={200: {"model": list[_Fields]}})
async def questions(
    request: Request, run: Annotated[str | None, Query(min_length=1, max_length=256)] = None, all: bool = False
) -> Answer:
    """What runs ask; with `all` also what was answered or is closed."""
    gateway = gateway_of(request)
    found = await gateway.call(gateway.runs.questions, run, open_only=not all)
    return _plain([_asked(question) for question in found])


@router.get("/questions/{question}", dependencies=_READ, responses={200: {"model": _Fields}})
async def question(request: Request, question: Ident) -> Answer:
    """One question, by its id or how only one id begins."""
    gateway = gateway_of(request)
    return _plain(_asked(await gateway.call(gateway.runs.question, question)))


@router.post("/questions/{question}/answer", dependencies=needing(Scope.deposit), responses={200: {"model": _Fields}})
async def answer(request: Request, question: Ident, reply: Reply) -> Answer:
    """Answer a question; what does not fit is refused, and the question stays open."""
    gateway = gateway_of(request)
    given = reply.model_dump(include=reply.model_fields_set)
    return _plain(
        _asked(await gateway.call(gateway.runs.answer, question, given, f"{token_of(request).name} over the network"))
    )


def _asked(question: QuestionRecord) -> dict[str, Any]:
    return question.model_dump() | {"takes": takes(question.form)}
