"""The policies of a task: how it is remembered, retried, limited and placed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from daskflow.errors import ArgumentsInvalid
from daskflow.model.mistakes import ended, listed
from daskflow.model.quantities import Bytes, Seconds, enough

_LEAST_MEMORY = 1000
"""What asks for less [bytes] has forgotten the unit."""


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, type) else value


class Resources(BaseModel):
    """What a job needs of the machine that performs it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    cores: int = Field(default=1, ge=1)
    """Processor cores that the job uses."""
    memory: Annotated[Bytes, enough(_LEAST_MEMORY)] | None = None
    """Memory that the job may use [bytes], over which it is killed; text such as `"8 GiB"` is read. None: no limit but
    the worker's own."""
    gpus: int = Field(default=0, ge=0)
    """Graphics processors that the job uses."""
    walltime: Seconds | None = Field(default=None, gt=0)
    """How long the job may take [s]; text such as `"2 h"` is read. None: learned from earlier runs."""
    nodes: int = Field(default=1, ge=1)
    """Nodes that the job spans; more than one make it a batch job of its own, of which each node has all that is asked
    for by the other fields."""
    tasks: int | None = Field(default=None, ge=1)
    """Ranks that an MPI program is started with, over all nodes; None: one for each core."""

    if not TYPE_CHECKING:  # who checks types goes by the fields

        def __init__(self, /, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise ArgumentsInvalid(ended(f"Resources(): {listed(error, Resources, fields)}")) from None

        # In another record it is made without this method, so that the mistakes of all are told together.
        __init__.__pydantic_base_init__ = True


class Policy(BaseModel):
    """How the jobs of a task are treated; every field may be changed for one call by `task.options(...)`.

    None of the fields counts for keys, but for `name` and `version`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, arbitrary_types_allowed=True)

    name: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z_][A-Za-z0-9_.\-]*$")
    """Name of the task, in keys, listings and on the dashboard."""
    cache: Literal[True, False, "run"] = True
    """`True`: remembered for all runs; `"run"`: within its run, so that it can be resumed; `False`: never."""
    retries: int = Field(default=0, ge=0)
    """How many times a failed attempt is followed by another."""
    retry_on: Annotated[
        tuple[type[BaseException], ...] | Callable[[BaseException, int], bool], BeforeValidator(_several)
    ] = (Exception,)
    """Which errors are worth another attempt: a class, or several, or a function of the error and of the attempts made
    so far. Timeouts and exceeded memory are so whatever the classes."""
    backoff: Seconds | tuple[Seconds, ...] | Callable[[int], float] = 0.0
    """Pause before an attempt [s]: a number, one for each attempt, or a function of the attempts made so far."""
    jitter: float = Field(default=0.0, ge=0, le=1)
    """Random fraction by which the pause is longer or shorter, so that jobs that failed together are tried apart."""
    timeout: Seconds | None = Field(default=None, gt=0)
    """After this time an attempt is killed and counts as failed [s]."""
    resources: Resources = Field(default_factory=Resources)
    """What the job needs of the machine."""
    site: str | None = None
    """Where the job runs; None: the site of the enclosing block or of the run."""
    placement: Literal["batch", "bucket"] | None = None
    """`"batch"`: the job is a batch job of its own, however small; `"bucket"`: it is a work in a bucket, which an agent
    of the site comes for; None: a pilot performs it where one can."""
    version: str | None = None
    """Where given, it stands for the task's code: only a change of version makes the task run again."""

    def pause(self, attempts: int) -> float:
        """Pause after that many failed attempts [s]."""
        if callable(self.backoff):
            return float(self.backoff(attempts))
        if isinstance(self.backoff, tuple):
            return self.backoff[min(attempts, len(self.backoff)) - 1] if self.backoff else 0.0
        return self.backoff


def policy_change(policy: Policy, changes: dict[str, Any]) -> Policy:
    """A copy of a policy with some fields changed, validated as a new one would be."""
    return Policy.model_validate({**{name: getattr(policy, name) for name in Policy.model_fields}, **changes})
