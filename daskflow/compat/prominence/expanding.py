"""The single jobs of a workflow: what factories make of them, and which wait for which."""

from __future__ import annotations

import graphlib
from collections.abc import Mapping
from typing import NamedTuple

from daskflow.compat.prominence.documents import JobDocument
from daskflow.compat.prominence.factories import instances, substituted
from daskflow.compat.prominence.workflowdocuments import WorkflowDocument


class Child(NamedTuple):
    """One job that is to be performed."""

    number: int
    """Its place among those of the workflow."""
    of: str
    """Name of the job of the workflow that it is, or that it was made of."""
    job: JobDocument
    """What it is, with the parameters in their places."""
    parents: tuple[int, ...] = ()
    """Places of those for whose success it waits."""


def expand(workflow: WorkflowDocument) -> list[Child]:
    """The jobs of a workflow, each after those that it waits for.

    Raises
    ------
    WorkflowCreationError
        The values of a factory do not fit together.

    Notes
    -----
    The same workflow always gives the same jobs with the same numbers: whoever knows the one knows the others.
    """
    made = {name: instances(factory) for factory in workflow.factories for name in factory.jobs}
    parents = parents_of(workflow.dependencies)
    jobs = {job.name: job for job in workflow.jobs}
    # What depends on nothing keeps the order in which it was given.
    order = graphlib.TopologicalSorter({name: sorted(parents.get(name, ())) for name in jobs}).static_order()
    numbers: dict[str, list[int]] = {}
    children: list[Child] = []
    for name in order:
        above = tuple(number for parent in sorted(parents.get(name, ())) for number in numbers[parent])
        numbers[name] = []
        for place, values in enumerate(made.get(name, [{}])):
            numbers[name].append(len(children))
            label = "/".join(filter(None, [workflow.name, name, str(place) if name in made else ""]))
            children.append(Child(len(children), name, _instance(jobs[name], label, values), above))
    return children


def parents_of(dependencies: Mapping[str, tuple[str, ...]]) -> dict[str, set[str]]:
    """Who has to succeed before, by the names of those that wait.

    Examples
    --------
    >>> parents_of({"a": ("b", "c")})
    {'b': {'a'}, 'c': {'a'}}
    """
    found: dict[str, set[str]] = {}
    for parent, children in dependencies.items():
        for child in children:
            found.setdefault(child, set()).add(parent)
    return found


def _instance(job: JobDocument, name: str, values: Mapping[str, str]) -> JobDocument:
    def put(text: str) -> str:
        return substituted(text, values)

    tasks = [
        task.model_copy(
            update={"cmd": put(task.cmd), "env": {variable: put(value) for variable, value in task.env.items()}}
        )
        for task in job.tasks
    ]
    changes = {
        "name": name,
        "tasks": tuple(tasks),
        "artifacts": tuple([each.model_copy(update={"url": put(each.url)}) for each in job.artifacts]),
        "output_files": tuple(map(put, job.output_files)),
        "output_dirs": tuple(map(put, job.output_dirs)),
        "parameters": {**job.parameters, **values},
    }
    return job.model_copy(update=changes)
