"""Works: durable units of work, which are deposited in the bucket of a pipeline and performed by agents anywhere."""

from __future__ import annotations

import json
import os
import re
import sys
import time
import warnings
from collections.abc import Callable
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Self

import pydantic
from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from daskflow.errors import WorkInvalid
from daskflow.model.jsons import Json, json_ready, size_of
from daskflow.model.quantities import as_bytes
from daskflow.model.workconfig import (
    Notify,
    Numbers,
    Shown,
    Texts,
    Whole,
    WorkConfig,
    check_assigned,
    checked,
    known,
    told,
)

TOKENS = (
    "DASKFLOW_TOKEN",
    "WORKFLOW_HTTP_TOKEN",
    "GITHUB_TOKEN",
    "WORKFLOW_TOKEN",
    "GITHUB_PAT",
    "GITHUB_ACCESS_TOKEN",
    "GITHUB_PERSONAL_ACCESS_TOKEN",
    "GITHUB_OAUTH_TOKEN",
    "GITHUB_OAUTH_ACCESS_TOKEN",
)
"""Variables that may hold the token of who deposits; the first that is there holds."""
TAGS = "WORKFLOW_TAGS"
"""Variable of tags, with commas between them, that new works have besides their own."""
LIMIT = 4 << 20
"""The JSON text of `parameters`, and that of `results`, is no longer than this [bytes]."""
LOG_LIMIT = 64 << 10
"""The end of a log that a work keeps is no longer than this [bytes]."""
TAG_LENGTH = 256
"""Letters of a tag at most: tags are looked up."""
_WRONG = re.compile(r"[^a-z0-9-]")
_INSIDE = (str(Path(__file__).parents[1]), str(Path(pydantic.__file__).parent))
"""Where code lies that nobody wants to be pointed at."""


class WorkStatus(StrEnum):
    """Where a work stands. Only the last two are ends, and a failure with attempts left is queued again."""

    created = "created"
    queued = "queued"
    running = "running"
    success = "success"
    failure = "failure"


WORK_TRANSITIONS: dict[WorkStatus, set[WorkStatus]] = {
    WorkStatus.created: {WorkStatus.queued},
    WorkStatus.queued: {WorkStatus.running, WorkStatus.success, WorkStatus.failure},
    # An agent that stops gives back what it has in hand; a lease that nobody renews expires.
    WorkStatus.running: {WorkStatus.queued, WorkStatus.success, WorkStatus.failure},
    WorkStatus.success: {WorkStatus.queued},
    WorkStatus.failure: {WorkStatus.queued, WorkStatus.success},
}
"""What may follow each status; people may queue again what has ended."""


class Work(BaseModel):
    """A unit of work: a function with parameters, or a command, for whoever serves the bucket of its pipeline.

    Raises
    ------
    WorkInvalid
        A field does not fit; the message names it. Assigning to a field raises the same.

    Notes
    -----
    Unlike the other records a work is filled in bit by bit, by who deposits it and by who performs it: its fields can
    be assigned to. It does nothing by itself; `Buckets` keep it.

    Examples
    --------
    >>> work = Work(pipeline="sample", site="local", user="ada", function="statistics.fmean", parameters={"data": [3]})
    >>> work.tag = ["sample"]
    >>> work.tags, work.status
    (['sample'], <WorkStatus.created: 'created'>)
    """

    model_config = pydantic.ConfigDict(
        validate_assignment=True,
        extra="forbid",
        populate_by_name=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        defer_build=True,
    )

    pipeline: str = Field(min_length=1, max_length=128)
    """Name of its bucket: small letters, digits and dashes; other letters, blanks and underscores are made so."""
    site: Shown = Field(min_length=1, max_length=128)
    """Where it is to be performed."""
    user: Shown = Field(min_length=1, max_length=256)
    """Whose it is."""
    function: Shown | None = Field(default=None, min_length=1, max_length=1024)
    """The function that performs it: `package.module.name`, called with the parameters."""
    command: Texts | None = None
    """The command that performs it, as a list; a single text is a line for the shell."""
    parameters: dict[str, Any] | None = None
    """What the function is called with."""
    results: Json = None
    """What came out of the latest attempt: anything that JSON can hold."""
    products: Texts | None = None
    """Files for programs to read that the latest attempt made."""
    plots: Texts | None = None
    """Files for people to look at that the latest attempt made."""
    tags: Texts | None = Field(default=None, validation_alias=pydantic.AliasChoices("tags", "tag"))
    """Words by which it is found; those of the variable `WORKFLOW_TAGS` are added when it is made."""
    group: Texts | None = None
    """Working groups that it belongs to."""
    event: Numbers | None = None
    """Numbers of the events that it is about."""
    timeout: Whole = Field(default=3600, ge=1, le=86400)
    """After this time an attempt is killed [s]."""
    retries: Whole = Field(default=2, ge=0, lt=6)
    """A work that failed is queued again as long as it had fewer attempts than this."""
    priority: Whole = Field(default=3, ge=1, le=5)
    """5 is performed first."""
    config: WorkConfig = Field(default_factory=WorkConfig)
    """How it is treated."""
    notify: Notify = Field(default_factory=Notify)
    """Who is told of its end."""

    # Set by the buckets and by agents.
    id: Shown | None = Field(default=None, max_length=128)
    """Given when it is deposited."""
    creation: float | None = Field(default=None, allow_inf_nan=False)
    """When it was made; seconds since the epoch [s]."""
    start: float | None = Field(default=None, allow_inf_nan=False)
    """When the latest attempt began [s]."""
    stop: float | None = Field(default=None, allow_inf_nan=False)
    """When the latest attempt ended [s]."""
    attempt: Whole = Field(default=0, ge=0, lt=2**31)
    """Number of the latest attempt, from 1 on; each withdrawal counts, so that no two have the same."""
    given_back: Whole = Field(default=0, ge=0, lt=2**31)
    """So many of the attempts were given back unfinished, and do not count against `retries`."""
    status: WorkStatus = WorkStatus.created
    """Where it stands."""
    error: str | None = None
    """Why the latest attempt failed, with the traceback."""
    log: str | None = None
    """What the latest attempt printed and logged: the end of it."""
    host: Shown | None = Field(default=None, max_length=1024)
    """The machine of the latest attempt."""
    final: bool = False
    """Whether it is not queued again though it failed: another attempt would fail alike."""
    locked: bool = False
    """Whether it can be neither changed nor deleted."""

    token: SecretStr | None = Field(default=None, exclude=True, repr=False)
    """Proves who deposits; never part of what is stored, sent or shown."""

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise WorkInvalid(told(error, Work, fields)) from None
        if self.token is None and "token" not in fields:
            found = next((value for name in TOKENS if (value := os.environ.get(name))), None)
            self.__dict__["token"] = None if found is None else SecretStr(found)

    def __setattr__(self, name: str, value: Any) -> None:
        check_assigned(Work, name)
        # What looks at the whole work does so when the field is assigned already.
        before, known = dict(self.__dict__), set(self.__pydantic_fields_set__)
        try:
            super().__setattr__(name, value)
        except ValidationError as error:
            object.__setattr__(self, "__dict__", before)
            object.__setattr__(self, "__pydantic_fields_set__", known)
            raise WorkInvalid(told(error, Work, {name: value})) from None

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return {**state, "__dict__": {**state["__dict__"], "token": None}}

    @property
    def tag(self) -> list[str] | None:
        """The tags, by their older name."""
        return self.tags

    @tag.setter
    def tag(self, value: Any) -> None:
        self.tags = value

    @property
    def payload(self) -> dict[str, Any]:
        """All that is stored and sent, as JSON can hold it; the token is not part of it.

        Raises
        ------
        WorkInvalid
            A list or dictionary among the fields was changed, and does not fit any more.
        """
        fields, name = self.__dict__, ""
        try:
            found = {}
            for name, check in _payload_checks().items():
                found[name] = fields[name] if check is None else check(fields[name], name)
            return found
        except ValueError as error:
            raise WorkInvalid(f"The work does not fit: {name}: {error}.") from None

    @property
    def ended(self) -> bool:
        """Whether it has succeeded, or failed for good."""
        if self.status is WorkStatus.failure:
            return self.final or self.attempt - self.given_back >= self.retries
        return self.status is WorkStatus.success

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        """The work of a payload.

        Raises
        ------
        WorkInvalid
        """
        if not isinstance(payload, dict) or not all(isinstance(name, str) for name in payload):
            # What it is is not shown: it may hold a secret.
            kind = "A dictionary with other keys than texts" if isinstance(payload, dict) else type(payload).__name__
            raise WorkInvalid(f"{kind} is no payload of a work. Give a dictionary of its fields.")
        return cls(**payload)

    @classmethod
    def from_stored(cls, payload: dict[str, Any]) -> Self:
        """The work of a payload that buckets kept; what only newer versions know of it is left out.

        Raises
        ------
        WorkInvalid
        """
        fields = {name: value for name, value in known(cls, payload).items() if value is not None}
        # Who deposited it keeps the token, and whoever reads it has no use for one.
        return cls(**fields | {"token": None})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The work of the JSON text of a payload.

        Raises
        ------
        WorkInvalid
        """
        try:
            payload = json.loads(text)
        except (ValueError, RecursionError) as error:
            why = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
            raise WorkInvalid(f"This is no JSON text of a work: {why}.") from None
        return cls.from_dict(payload)

    def placed(self, **fields: Any) -> None:
        """Take values from the buckets as they are: those are known to fit."""
        self.__dict__.update(fields)
        self.__pydantic_fields_set__.update(fields)

    @field_validator("pipeline")
    @classmethod
    def _hyphenated(cls, given: str) -> str:
        name = bucket_name(given)
        if name != given:
            warnings.warn(SyntaxWarning(f"pipeline reformatted to {name}"), stacklevel=_level())
        return name

    @field_validator("tags", "group", "event", "products", "plots", "command")
    @classmethod
    def _plain(cls, given: list[Any] | None, info: ValidationInfo) -> list[Any] | None:
        return _listed(given, str(info.field_name))

    @field_validator("parameters", "results", mode="before")
    @classmethod
    def _json(cls, given: Any, info: ValidationInfo) -> Any:
        return _small(given, str(info.field_name))

    @field_validator("error", "log")
    @classmethod
    def _end_of_text(cls, given: str | None) -> str | None:
        if given is None:
            return None
        text = str(json_ready(given)).encode()
        return (text if len(text) <= LOG_LIMIT else b"..." + text[3 - LOG_LIMIT :]).decode(errors="ignore")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.function and self.command:
            raise ValueError("command and function cannot be set together")
        # Validators that assign would be called for each assignment again.
        fields = self.__dict__
        if self.creation is None:
            fields["creation"] = time.time()
            told_here = [tag.strip() for tag in os.environ.get(TAGS, "").split(",")]
            merged = [*(self.tags or []), *(_listed([tag for tag in told_here if tag], TAGS) or [])]
            fields["tags"] = list(dict.fromkeys(merged)) or self.tags
        return self


@lru_cache
def bucket_name(given: str) -> str:
    """The name of the bucket of a pipeline: small letters, digits and dashes.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> bucket_name("Sample pipeline_2")
    'sample-pipeline-2'
    """
    name = re.sub(r"[ _]", "-", given.lower())
    wrong = _WRONG.search(name)
    if wrong:
        raise ValueError(f"{given!r:.200} has a {wrong.group()!r}; letters, digits and dashes make a name")
    return name


def _listed(given: list[Any] | None, where: str) -> list[Any] | None:
    if given is None:
        return None
    ready: list[Any] = json_ready(given, where=where)
    if type(ready) is not list or any(type(each) is not (int if where == "event" else str) for each in ready):
        raise ValueError(f"{where} is a list of {'numbers' if where == 'event' else 'texts'}")
    if where in ("tags", TAGS) and any(len(tag) > TAG_LENGTH for tag in ready):
        raise ValueError(f"a tag has at most {TAG_LENGTH} letters")
    return ready


def _small(given: Any, where: str) -> Any:
    """What JSON can hold, if it is not too much of it."""
    try:
        ready = json_ready(given, where=where)
    except ValueError as error:
        raise ValueError(f"{error}. Make it of numbers, texts, lists and dictionaries, or write it to a file") from None
    if ready is None or isinstance(ready, bool | int | float):
        return ready
    size = size_of(ready)
    if size > LIMIT:
        raise ValueError(
            f"it takes {as_bytes(size)} as JSON, and a work holds {as_bytes(LIMIT)} of it. Write it to a file, and "
            "name that among the products"
        )
    return ready


def _part(given: BaseModel, where: str) -> Any:
    dumped = given.model_dump(warnings=False)
    return dumped if dumped == _usual(type(given)) else _small(checked(type(given), dumped), where)


@cache
def _usual(kind: type[BaseModel]) -> dict[str, Any]:
    """What most works say in this part; JSON can hold it."""
    return kind().model_dump()


@cache
def _payload_checks() -> dict[str, Callable[[Any, str], Any] | None]:
    """How each field enters a payload; lists and dictionaries may have been changed since they were assigned."""
    lists = dict.fromkeys(("command", "products", "plots", "tags", "group", "event"), _listed)
    own = {"parameters": _small, "results": _small, "config": _part, "notify": _part, "status": lambda it, _: it.value}
    return {name: {**lists, **own}.get(name) for name in Work.model_fields if name != "token"}


def _level() -> int:
    """Which caller of the caller is the user."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        level, frame = level + 1, frame.f_back
    return level
