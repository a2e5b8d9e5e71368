"""Checks what the parts of a pipeline say of each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from daskflow.errors import PipelineInvalid, WorkInvalid
from daskflow.execution.pipelines.expanding import CONDITIONS, combinations, condition_of, fields_of
from daskflow.execution.pipelines.references import references
from daskflow.model.pipeline import MOST, Matrix, Pipeline, Step
from daskflow.model.work import Work

MOST_RUNS = 1000
"""So many runs, one for each combination of its matrix, one pipeline may have."""
_OWN = ("id", "status", "attempt", "creation", "start", "stop", "results", "products", "plots", "error", "log", "host")
"""Fields of works that their buckets and agents fill in."""
_PARTS = ("status", "results", "products", "plots", "id")
"""What of a step others may refer to."""


def check(pipeline: Pipeline) -> None:
    """See that a pipeline can be run.

    Raises
    ------
    PipelineInvalid
        It cannot; the message names the place and the cure.
    """
    _check_size("matrix", pipeline.matrix, MOST_RUNS)
    _check_plain("matrix", pipeline.matrix)
    deployments = {each.name for each in pipeline.deployments}
    if pipeline.runs_on is not None and pipeline.runs_on not in deployments:
        raise _unknown_deployment("pipeline.runs_on", pipeline.runs_on, deployments)
    for key in pipeline.defaults:
        _check_field(f"defaults.{key}", key)
    for step in pipeline.steps:
        place = f"pipeline.steps.{step.name}"
        if step.runs_on is not None and step.runs_on not in deployments:
            raise _unknown_deployment(f"{place}.runs_on", step.runs_on, deployments)
        for key in step.work:
            _check_field(f"{place}.work.{key}", key)
        _check_matrix(pipeline, step, place)
        _check_condition(pipeline, step, place)
        _check_references(pipeline, step, place)
        _check_works(pipeline, step, place)


def warnings(pipeline: Pipeline) -> list[str]:
    """What may be meant otherwise."""
    homes = {home.name for step in pipeline.steps if (home := pipeline.home_of(step)) is not None}
    found = [
        f"No step runs on the deployment {each.name}: it is not started."
        for each in pipeline.deployments
        if each.name not in homes
    ]
    if pipeline.deployments:
        found += [
            f"The step {step.name} runs on no deployment: agents of its bucket have to be there."
            for step in pipeline.steps
            if pipeline.home_of(step) is None
        ]
    return found


def _unknown_deployment(place: str, name: str, known: set[str]) -> PipelineInvalid:
    there = f"There are {', '.join(sorted(known))}." if known else "There is none."
    return PipelineInvalid(f"{place}: there is no deployment {name!r}. {there} Describe it below `deployments:`.")


def _check_field(place: str, key: str) -> None:
    if key in _OWN or key not in {*Work.model_fields, "tag"}:
        raise PipelineInvalid(f"{place}: this is no field of a work that can be set.")
    if key == "token":
        raise PipelineInvalid(f"{place}: a token does not belong into a file. Set it in the environment.")


def _check_size(place: str, matrix: Matrix, most: int) -> None:
    size = math.prod(len(values) for values in matrix.values())
    if size > most:
        raise PipelineInvalid(f"{place}: {size} combinations are too many; there may be {most}.")


def _check_plain(place: str, matrix: Matrix) -> None:
    for found, name in references(matrix, place):
        raise PipelineInvalid(f"{found}: the values of a matrix cannot refer to {name}. Write them down.")


def _check_matrix(pipeline: Pipeline, step: Step, place: str) -> None:
    _check_plain(f"{place}.matrix", step.matrix)
    _check_size(f"{place}.matrix", step.matrix, MOST)
    twice = sorted(set(step.matrix) & set(pipeline.matrix))
    if twice:
        raise PipelineInvalid(
            f"{place}.matrix.{twice[0]}: the matrix of the pipeline has this key already. Rename one of them."
        )


def _check_condition(pipeline: Pipeline, step: Step, place: str) -> None:
    try:
        condition = condition_of(step)
    except PipelineInvalid as error:
        raise PipelineInvalid(f"{place}.if: {error}") from None
    for name in () if condition is None else condition.names:
        if name in CONDITIONS:
            continue
        _check_name(pipeline, step, name, f"{place}.if", set(pipeline.matrix))


def _check_references(pipeline: Pipeline, step: Step, place: str) -> None:
    keys = {*pipeline.matrix, *step.matrix}
    for where, fields in ((f"{place}.work", step.work), ("defaults", pipeline.defaults)):
        for found, name in references(fields, where):
            # What a step replaces of the defaults is not looked up there.
            if where == "defaults" and found.split(".")[1].partition("[")[0] in step.work:
                continue
            hint = f" in the step {step.name}" if where == "defaults" else ""
            _check_name(pipeline, step, name, f"{found}{hint}", keys)


def _check_name(pipeline: Pipeline, step: Step, name: str, place: str, keys: set[str]) -> None:
    root, *path = name.split(".")
    if root == "matrix" and len(path) >= 1:
        if path[0] not in keys:
            there = f"It has {', '.join(sorted(keys))}." if keys else "There is none."
            raise PipelineInvalid(f"{place}: the matrix has no {path[0]!r}. {there}")
        return
    if root != "pipeline" or len(path) < 2 or path[1] not in _PARTS:
        raise PipelineInvalid(
            f"{place}: {name!r:.100} refers to nothing. Write matrix.KEY, or pipeline.STEP. with one of "
            f"{', '.join(_PARTS)}."
        )
    other = next((each for each in pipeline.steps if each.name == path[0]), None)
    if other is None:
        names = ", ".join(each.name for each in pipeline.steps)
        raise PipelineInvalid(f"{place}: there is no step {path[0]!r}. There are {names}.")
    if other.stage >= step.stage:
        raise PipelineInvalid(
            f"{place}: {other.name} is performed in stage {other.stage}, not before {step.name} in stage {step.stage}. "
            f"Give {step.name} a later stage."
        )


def _check_works(pipeline: Pipeline, step: Step, place: str) -> None:
    """See that the works can be made, as far as that is known before there are results."""
    outer = next(iter(combinations(pipeline.matrix)))
    for inner in combinations(step.matrix):
        fields = fields_of(pipeline, step, {**outer, **inner}, None)
        _check_home(pipeline, step, fields, place)
        config = fields.get("config")
        archive: Any = config.get("archive") if isinstance(config, dict) else None
        if isinstance(archive, dict) and archive.get("results") is False:
            raise PipelineInvalid(
                f"{place}.work.config.archive.results: the pipeline needs what its works give. Delete them when it has "
                "ended."
            )
        try:
            Work(**fields)
        except WorkInvalid as error:
            raise PipelineInvalid(f"{place}.work: {error}") from None


def _check_home(pipeline: Pipeline, step: Step, fields: Mapping[str, Any], place: str) -> None:
    """See that the agents of a deployment find the works."""
    home = pipeline.home_of(step)
    if home is None:
        return
    if fields["site"] != home.site:
        raise PipelineInvalid(
            f"{place}.work.site: the step runs on the deployment {home.name}, whose agents perform works of the site "
            f"{home.site!r}, not {fields['site']!r:.100}. Leave the site out."
        )
    own = step.work.get("pipeline", pipeline.defaults.get("pipeline"))
    for _, name in references(own, f"{place}.work.pipeline"):
        if not name.startswith("matrix."):
            raise PipelineInvalid(
                f"{place}.work.pipeline: the agents of the deployment {home.name} are there before {name} is known. "
                "Name the bucket, or refer to the matrix."
            )
