"""Pipelines of works, as their documents describe them, and schedules by which they are started."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from daskflow.model.quantities import Bytes, Seconds

MOST = 10_000
"""So many works, or combinations of a matrix, are not too many for one step."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def _listed(value: Any) -> Any:
    """The values of one key of a matrix: a list, or a range as Python has it."""
    if not isinstance(value, dict):
        return value
    given = value.get("range")
    if set(value) != {"range"} or not isinstance(given, list) or not 1 <= len(given) <= 3:
        raise ValueError("it is a list of values, or {range: [first, end, step]}, whose end is not in it")
    if any(type(each) is not int for each in given) or given[2:] == [0]:
        raise ValueError(f"a range is made of integers, of which the step is not 0; it is {given}")
    try:
        size = len(range(*given))
    except OverflowError:
        size = MOST + 1
    if size > MOST:
        raise ValueError(f"{given} are more than {MOST} values")
    return list(range(*given))


Values = Annotated[list[Any], BeforeValidator(_listed), Field(min_length=1)]
Matrix = dict[str, Values]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)


def _named(given: str) -> str:
    if not _NAME.fullmatch(given):
        raise ValueError(f"{given!r:.100} is no name; letters, digits, dashes and underscores make one")
    return given


class Schedule(_Part):
    """When a pipeline is started again and again."""

    cronspec: str
    """The times, as in a crontab: minute, hour, day of the month, month, day of the week."""
    lives: int = Field(default=-1, ge=-1)
    """How many times; -1: for ever."""
    timezone: str = "UTC"
    """Where the clock hangs: `America/Vancouver`."""

    @field_validator("lives")
    @classmethod
    def _lives(cls, given: int) -> int:
        if given == 0:
            raise ValueError("a schedule without lives starts nothing; -1 is for ever")
        return given


class Shares(_Part):
    """What an agent needs of its machine."""

    cores: int = Field(default=1, ge=1)
    """Processor cores."""
    ram: Bytes | None = Field(default=None, gt=0)
    """Memory [bytes]; text such as `2G` is read."""
    gpu: int = Field(default=0, ge=0)
    """Graphics processors."""


class Deployment(_Part):
    """Agents that are there as long as a run of the pipeline."""

    name: str = Field(max_length=60)
    """By which steps name it."""
    site: str
    """The site whose batch system starts them."""
    image: str | None = None
    """Container image in which they run; it has daskflow."""
    sleep: Seconds = Field(default=30.0, ge=1, le=300)
    """So often they look for new works where the store cannot tell them [s]."""
    resources: Shares = Shares.model_construct(cores=1, ram=None, gpu=0)
    """What each needs."""
    replicas: int = Field(default=1, ge=1, le=256)
    """How many."""

    _names = field_validator("name")(_named)


class Step(_Part):
    """Works of one kind, one for each combination of the step's matrix."""

    model_config = ConfigDict(populate_by_name=True)

    name: str = Field(max_length=60)
    """By which later steps name it."""
    stage: int = Field(default=1, ge=0)
    """Steps of one stage are performed at the same time, those of the next one after them."""
    condition: str = Field(default="success", alias="if")
    """Whether it is performed: `success`, `failure` or `always` of all before, or `${{ an expression }}`."""
    matrix: Matrix = {}
    """Values of which each combination gives a work."""
    runs_on: str | None = None
    """The deployment whose agents perform it."""
    success_threshold: float = Field(default=1.0, ge=0, le=1)
    """The step succeeds when this part of its works does."""
    work: dict[str, Any]
    """Fields of the work."""

    _names = field_validator("name")(_named)

    @field_validator("condition", mode="before")
    @classmethod
    def _text(cls, given: Any) -> Any:
        # YAML reads `if: true` as a truth value.
        return str(given).lower() if isinstance(given, bool) else given


class Pipeline(_Part):
    """Steps in stages, which deposit works.

    Notes
    -----
    What the parts say of each other is checked by who reads the document, which knows the place of each.
    """

    version: Literal["1", "2"] = "2"
    """Of the document's form."""
    name: str = Field(max_length=60)
    """Name of the pipeline, and of the bucket of its works that name none."""
    defaults: dict[str, Any] = {}
    """Fields that all works have unless they say otherwise."""
    schedule: Schedule | None = None
    """When it is started again and again."""
    deployments: tuple[Deployment, ...] = ()
    """Agents that are there as long as it runs."""
    matrix: Matrix = {}
    """Values of which each combination gives a run of its own."""
    runs_on: str | None = None
    """The deployment of steps that name none."""
    steps: tuple[Step, ...] = Field(min_length=1)
    """What is to be done."""

    _names = field_validator("name")(_named)

    @model_validator(mode="after")
    def _distinct(self) -> Pipeline:
        for what, names in (
            ("steps", [step.name for step in self.steps]),
            ("deployments", [each.name for each in self.deployments]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"several {what} are called {', '.join(twice)}")
        return self

    def home_of(self, step: Step) -> Deployment | None:
        """The deployment whose agents perform a step; None: whoever serves the bucket does."""
        name = step.runs_on or self.runs_on
        return next((each for each in self.deployments if each.name == name), None)

    def stages(self) -> list[tuple[Step, ...]]:
        """The steps of each stage, in their order."""
        numbers = sorted({step.stage for step in self.steps})
        return [tuple(step for step in self.steps if step.stage == number) for number in numbers]


class ScheduleState(StrEnum):
    """Where a schedule stands."""

    active = "active"
    paused = "paused"
    expired = "expired"


class ScheduleRecord(_Part):
    """A schedule, as the store keeps it."""

    id: str
    """Given when it is recorded."""
    name: str
    """Name of the pipeline."""
    cron: str
    """The times, as in a crontab."""
    timezone: str
    """Where the clock hangs."""
    lives: int
    """How often it starts a run from now on; -1: for ever."""
    state: ScheduleState = ScheduleState.active
    document: str
    """The pipeline, as JSON text."""
    created: float
    """Seconds since the epoch [s]."""
    due: float | None = None
    """When it starts the next run; seconds since the epoch [s]."""
    latest: str = ""
    """Id of the latest run that it started."""
