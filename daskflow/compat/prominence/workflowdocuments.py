"""Workflows as JSON describes them: what may stand there, and what is refused."""

from __future__ import annotations

import graphlib
from typing import Literal, Self

from pydantic import AliasChoices, Field, field_validator, model_validator

from daskflow.compat.prominence.documents import (
    NAME,
    Document,
    JobDocument,
    Labels,
    NotificationDocument,
    PlacementDocument,
    check_labels,
)


class WorkflowPoliciesDocument(Document):
    """How a workflow is treated."""

    maximum_retries: int = Field(default=0, ge=0)
    """So often each of its jobs that failed is tried again."""
    maximum_reruns: int = Field(default=0, ge=0)
    """So often what failed, and what waited for that, is begun again when all else has ended."""
    placement: PlacementDocument = PlacementDocument()
    """Where its jobs run that do not say it."""
    leave_in_queue: bool | None = None
    """Kept, and without effect."""


class ParameterDocument(Document):
    """The values of one parameter."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """It stands as `$name` or `${name}` in commands."""
    start: float | None = None
    """The first number."""
    end: float | None = None
    """The last one."""
    step: float | None = None
    """From one to the next."""
    values: tuple[int | float | str, ...] = ()
    """Or these."""

    @model_validator(mode="after")
    def _either(self) -> Self:
        numbers = [self.start, self.end, self.step]
        if bool(self.values) == all(number is not None for number in numbers) or (
            self.values and any(number is not None for number in numbers)
        ):
            raise ValueError(f"the parameter {self.name} needs either values, or start, end and step")
        return self


class FactoryDocument(Document):
    """What makes several jobs of one."""

    type: Literal["parameterSweep", "zip", "repeat"]
    """All combinations; values side by side; the same again."""
    name: str | None = None
    """For people."""
    jobs: tuple[str, ...] = Field(min_length=1)
    """Names of the jobs of which it makes several."""
    parameters: tuple[ParameterDocument, ...] = ()
    """What varies."""
    number: int | None = Field(default=None, ge=1, validation_alias=AliasChoices("number", "num"))
    """How many equal ones."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.type == "repeat":
            if self.number is None or self.parameters:
                raise ValueError("a repeat needs a number, and no parameters")
        elif not self.parameters or self.number is not None:
            raise ValueError(f"a {self.type} needs parameters, and no number")
        names = [parameter.name for parameter in self.parameters]
        if len(set(names)) < len(names):
            raise ValueError(f"a parameter is named twice: {', '.join(names)}")
        return self


class WorkflowDocument(Document):
    """Jobs that depend on each other."""

    name: str = Field(default="", max_length=512, pattern=NAME)
    """For people."""
    labels: Labels = Field(default_factory=dict)
    """By which it is found."""
    jobs: tuple[JobDocument, ...] = Field(min_length=1)
    """Each with a name of its own."""
    dependencies: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """By the name of a job those that run after it."""
    factories: tuple[FactoryDocument, ...] = ()
    """What makes several jobs of one."""
    policies: WorkflowPoliciesDocument = WorkflowPoliciesDocument()
    """How it is treated."""
    notifications: tuple[NotificationDocument, ...] = ()
    """Kept, and without effect."""

    @field_validator("labels")
    @classmethod
    def _labels(cls, given: Labels) -> Labels:
        return check_labels(given)

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        names = [job.name for job in self.jobs]
        if "" in names:
            raise ValueError("each job of a workflow needs a name")
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"several jobs have one name: {', '.join(sorted(twice))}")
        self._refuse_unknown(set(names))
        parents: dict[str, set[str]] = {}
        for parent, children in self.dependencies.items():
            for child in children:
                parents.setdefault(child, set()).add(parent)
        try:
            graphlib.TopologicalSorter(parents).prepare()
        except graphlib.CycleError as error:
            raise ValueError(f"jobs wait for each other in a circle: {' -> '.join(error.args[1])}") from None
        return self

    def _refuse_unknown(self, names: set[str]) -> None:
        used = {*self.dependencies, *[child for children in self.dependencies.values() for child in children]}
        if unknown := used - names:
            raise ValueError(f"dependencies name jobs that there are not: {', '.join(sorted(unknown))}")
        made = [name for factory in self.factories for name in factory.jobs]
        if unknown := set(made) - names:
            raise ValueError(f"factories name jobs that there are not: {', '.join(sorted(unknown))}")
        if len(set(made)) < len(made):
            raise ValueError("a job is made by several factories: put their parameters into one")
