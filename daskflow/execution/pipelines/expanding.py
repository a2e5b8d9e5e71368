"""Makes the works of a step: one for each combination of its matrix, with all references replaced."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from daskflow.errors import PipelineInvalid
from daskflow.execution.pipelines.expressions import Expression, expression
from daskflow.execution.pipelines.references import inner, references, replaced, within
from daskflow.model.pipeline import Matrix, Pipeline, Step
from daskflow.model.work import bucket_name

CONDITIONS = ("success", "failure", "always")
"""Words for what became of all steps of earlier stages."""
_UNKNOWN = object()
_TEXT = "x"
"""Stands for a text that is not known yet, where a work needs one."""


def combinations(matrix: Matrix) -> Iterator[dict[str, Any]]:
    """The combinations of a matrix, the last key varying fastest; one empty one where there is no matrix.

    Examples
    --------
    >>> list(combinations({"a": [1, 2], "b": ["x"]}))
    [{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'x'}]
    """
    return (dict(zip(matrix, values, strict=True)) for values in itertools.product(*matrix.values()))


def condition_of(step: Step) -> Expression | None:
    """When a step is performed; None: when all before succeeded.

    Raises
    ------
    PipelineInvalid
        It is no condition.
    """
    text = step.condition.strip()
    if text == "success":
        return None
    found = inner(text)
    if found is None and text not in (*CONDITIONS, "true", "false"):
        raise PipelineInvalid(
            f"{text!r:.100} is no condition. Write success, failure, always or ${{{{ pipeline.STEP.status == 'success' "
            "}}."
        )
    return expression(text if found is None else found)


def bucket_of(pipeline: Pipeline, step: Step) -> str:
    """Name of the bucket of a step's works: that of the pipeline, or one that only the agents of a deployment serve."""
    home = pipeline.home_of(step)
    name = pipeline.name if home is None else f"{pipeline.name}-{home.name}"
    return name.lower().replace("_", "-")


def buckets_of(pipeline: Pipeline, step: Step) -> list[str]:
    """Names of the buckets of all works of a step, each once."""
    named = step.work.get("pipeline", pipeline.defaults.get("pipeline"))
    if named is None:
        return [bucket_of(pipeline, step)]
    keys = {name.split(".")[1] for _, name in references(named, "pipeline") if name.startswith("matrix.")}
    matrix = {key: values for key, values in {**pipeline.matrix, **step.matrix}.items() if key in keys}
    found = []
    for values in combinations(matrix):

        def lookup(name: str, values: Mapping[str, Any] = values) -> Any:
            _, key, *path = name.split(".")
            return within(values[key], path, name)

        try:
            found.append(bucket_name(str(replaced(named, lookup))))
        except ValueError as error:
            raise PipelineInvalid(f"pipeline: {error}.") from None
    return list(dict.fromkeys(found))


def fields_of(
    pipeline: Pipeline, step: Step, matrix: Mapping[str, Any], known: Callable[[str], Any] | None
) -> dict[str, Any]:
    """The fields of one work of a step.

    Parameters
    ----------
    matrix
        The combination.
    known
        Gives what the name of something that a step left stands for. None: nothing is known of that yet, and fields
        that need it are left out, or have some text where a work must have one.
    """
    merged = _merged(pipeline.defaults, step.work)
    if "tag" in merged:
        merged["tags"] = merged.pop("tag")
    home = pipeline.home_of(step)
    if home is not None:
        # Its agents take works of its site only, whatever others are for.
        merged["site"] = step.work.get("site", home.site)
    merged.setdefault("pipeline", bucket_of(pipeline, step))

    def lookup(name: str) -> Any:
        root, *path = name.split(".")
        if root == "matrix":
            return within(matrix[path[0]], path[1:], name)
        return known(name) if known is not None else _UNKNOWN

    if known is None:
        return _as_known(merged, lookup)
    return {key: replaced(value, lookup) for key, value in merged.items()}


def _as_known(fields: dict[str, Any], lookup: Callable[[str], Any]) -> dict[str, Any]:
    found = {}
    for key, value in fields.items():
        if any(name.startswith("pipeline.") for _, name in references(value, key)):
            if key in ("pipeline", "site", "user", "function", "command"):
                found[key] = _TEXT
        else:
            found[key] = replaced(value, lookup)
    return found


def _merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a work over the defaults; dictionaries are merged key by key."""
    found = dict(defaults)
    for key, value in own.items():
        before = found.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        found[key] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return found
