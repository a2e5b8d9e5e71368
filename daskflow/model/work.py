"""Works: durable units of work, which are deposited in the bucket of a pipeline and performed by agents anywhere."""

from __future__ import annotations

import json
import os
import re
import time
import warnings
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from daskflow.errors import WorkInvalid
from daskflow.model.jsons import Json, as_text, json_ready
from daskflow.model.quantities import as_bytes

TOKENS = (
    "DASKFLOW_TOKEN",
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
_WRONG = re.compile(r"[^a-z0-9-]")


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


def _several(value: Any) -> Any:
    """One value where a list is asked for."""
    return [value] if isinstance(value, str | int) and not isinstance(value, bool) else value


def _strategy(value: Any) -> Any:
    """The names of older versions."""
    return (
        {"pass": "bypass", True: "copy", False: "bypass"}.get(value, value) if isinstance(value, str | bool) else value
    )


Texts = Annotated[list[str], BeforeValidator(_several)]
Numbers = Annotated[list[int], BeforeValidator(_several)]
Strategy = Annotated[Literal["bypass", "copy", "move", "delete", "upload"], BeforeValidator(_strategy)]


class _Part(BaseModel):
    model_config = ConfigDict(validate_assignment=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class Archive(_Part):
    """What becomes of what a work made, when it has succeeded."""

    results: bool = True
    """Whether the work is kept when it has ended; else it is deleted from its bucket."""
    products: Strategy = "copy"
    """Left where they are (`bypass`), copied or moved to the archive, put into the artifact store (`upload`), or
    deleted."""
    plots: Strategy = "copy"
    """The same, of plots."""
    logs: Strategy = "move"
    """The same, of the log: `move` keeps the end of it in the work itself and the whole in the archive."""


class WorkConfig(_Part):
    """How a work is treated."""

    archive: Archive = Field(default_factory=Archive)
    """What becomes of results, products and plots."""
    metrics: bool = False
    """Whether metrics are wanted; carried along."""
    parent: str | None = None
    """Id of the pipeline run that deposited it."""
    orgs: Texts = Field(default_factory=lambda: ["chimefrb"])
    """Organisations whose members may see it; carried along."""
    teams: Texts | None = None
    """Teams whose members may see it; carried along."""
    strategy: Literal["strict", "relaxed"] = "strict"
    """`relaxed`: any name of a site is good."""


class Slack(_Part):
    """A message on Slack when a work has ended."""

    channel_id: str | None = None
    """Where it goes."""
    member_ids: Texts | None = None
    """Who is mentioned."""
    message: str | None = None
    """What it begins with."""
    results: bool | None = None
    """Whether it shows the results."""
    products: bool | None = None
    """Whether it shows the products."""
    plots: bool | None = None
    """Whether it shows the plots."""
    blocks: dict[str, Any] = Field(default_factory=dict)
    """Blocks of Slack, as they are."""
    reply: dict[str, Any] = Field(default_factory=dict)
    """What Slack answered."""


class Notify(_Part):
    """Who is told of the end of a work."""

    slack: Slack = Field(default_factory=Slack)
    """On Slack."""


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
    >>> work = Work(pipeline="sample-pipeline", site="local", user="ada", function="math.hypot", parameters={"x": 3})
    >>> work.tag = ["sample"]
    >>> work.tags, work.status
    (['sample'], <WorkStatus.created: 'created'>)
    """

    model_config = ConfigDict(
        validate_assignment=True,
        extra="forbid",
        populate_by_name=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        defer_build=True,
    )

    pipeline: str = Field(min_length=1, max_length=128)
    """Name of its bucket: small letters, digits and dashes; other letters, blanks and underscores are made so."""
    site: str = Field(min_length=1, max_length=128)
    """Where it is to be performed."""
    user: str = Field(min_length=1, max_length=256)
    """Whose it is."""
    function: str | None = None
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
    tags: Texts | None = Field(default=None, validation_alias=AliasChoices("tags", "tag"))
    """Words by which it is found; those of the variable `WORKFLOW_TAGS` are added when it is made."""
    group: Texts | None = None
    """Working groups that it belongs to."""
    event: Numbers | None = None
    """Numbers of the events that it is about."""
    timeout: int = Field(default=3600, ge=1, le=86400)
    """After this time an attempt is killed [s]."""
    retries: int = Field(default=2, ge=0, lt=6)
    """A work that failed is queued again as long as it had fewer attempts than this."""
    priority: int = Field(default=3, ge=1, le=5)
    """5 is performed first."""
    config: WorkConfig = Field(default_factory=WorkConfig)
    """How it is treated."""
    notify: Notify = Field(default_factory=Notify)
    """Who is told of its end."""

    # Set by the buckets and by agents.
    id: str | None = None
    """Given when it is deposited."""
    creation: float | None = None
    """When it was made; seconds since the epoch [s]."""
    start: float | None = None
    """When the latest attempt began [s]."""
    stop: float | None = None
    """When the latest attempt ended [s]."""
    attempt: int = Field(default=0, ge=0)
    """Number of the latest attempt, from 1 on."""
    status: WorkStatus = WorkStatus.created
    """Where it stands."""
    error: str | None = None
    """Why the latest attempt failed, with the traceback."""
    log: str | None = None
    """What the latest attempt printed and logged: the end of it."""
    host: str | None = None
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
            raise WorkInvalid(told(error)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        try:
            super().__setattr__(name, value)
        except ValidationError as error:
            raise WorkInvalid(told(error)) from None

    @property
    def tag(self) -> list[str] | None:
        """The tags, by their older name."""
        return self.tags

    @tag.setter
    def tag(self, value: Any) -> None:
        self.tags = value

    @property
    def payload(self) -> dict[str, Any]:
        """All that is stored and sent, as JSON can hold it; the token is not part of it."""
        return self.model_dump(mode="json")

    @property
    def ended(self) -> bool:
        """Whether it has succeeded, or failed for good."""
        if self.status is WorkStatus.failure:
            return self.final or self.attempt >= self.retries
        return self.status is WorkStatus.success

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        """The work of a payload.

        Raises
        ------
        WorkInvalid
        """
        return cls(**payload)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The work of the JSON text of a payload.

        Raises
        ------
        WorkInvalid
        """
        try:
            payload = json.loads(text)
        except ValueError as error:
            raise WorkInvalid(f"This is no JSON text of a work: {error}") from None
        return cls.from_dict(payload)

    @field_validator("pipeline")
    @classmethod
    def _hyphenated(cls, given: str) -> str:
        name = re.sub(r"[ _]", "-", given.lower())
        wrong = _WRONG.search(name)
        if wrong:
            raise ValueError(f"{given!r:.200} has a {wrong.group()!r}; letters, digits and dashes make a name")
        if name != given:
            warnings.warn(SyntaxWarning(f"pipeline reformatted to {name}"), stacklevel=4)
        return name

    @field_validator("site", "user", "function", "id", mode="after")
    @classmethod
    def _printable(cls, given: str | None) -> str | None:
        if given is not None and not given.isprintable():
            raise ValueError(f"{given!r:.200} has characters that cannot be printed")
        return given

    @field_validator("tags", "group", "event", "products", "plots", "command")
    @classmethod
    def _plain(cls, given: list[Any] | None, info: ValidationInfo) -> list[Any] | None:
        return None if given is None else list(json_ready(given, where=str(info.field_name)))

    @field_validator("parameters", "results", mode="before")
    @classmethod
    def _json(cls, given: Any, info: ValidationInfo) -> Any:
        ready = json_ready(given, where=str(info.field_name))
        size = 0 if ready is None else len(as_text(ready).encode())
        if size > LIMIT:
            raise ValueError(
                f"it takes {as_bytes(size)} as JSON, and a work holds {as_bytes(LIMIT)} of it. Write it to a file, and "
                "name that among the products"
            )
        return ready

    @field_validator("error", "log")
    @classmethod
    def _end_of_text(cls, given: str | None) -> str | None:
        if given is None:
            return None
        text = str(json_ready(given))
        return text if len(text) <= LOG_LIMIT else f"...{text[-LOG_LIMIT:]}"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.function and self.command:
            raise ValueError("command and function cannot be set together")
        # Validators that assign would be called for each assignment again.
        fields = self.__dict__
        if self.creation is None:
            fields["creation"] = time.time()
            own, told_here = self.tags or [], os.environ.get(TAGS, "").split(",")
            merged = list(dict.fromkeys([*own, *[tag.strip() for tag in told_here if tag.strip()]]))
            fields["tags"] = merged or self.tags
        if self.token is None:
            found = next((os.environ[name] for name in TOKENS if os.environ.get(name)), None)
            fields["token"] = None if found is None else SecretStr(found)
        return self


def told(error: ValidationError) -> str:
    """What does not fit in a work, for people."""
    parts = []
    for mistake in error.errors(include_url=False, include_context=False, include_input=False):
        place = ".".join(map(str, mistake["loc"]))
        text = mistake["msg"].removeprefix("Value error, ")
        parts.append(f"{place}: {text}" if place else text)
    return f"The work does not fit: {'; '.join(parts)}."
