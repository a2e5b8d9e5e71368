"""Reads the documents of pipelines, strictly: what is not known or does not fit is named, with its place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from daskflow.errors import PipelineInvalid
from daskflow.execution.pipelines.checking import check
from daskflow.model.jsons import json_ready
from daskflow.model.mistakes import ended, meant, mistakes_in
from daskflow.model.pipeline import Pipeline

_HEADS = ("runs_on", "matrix")
"""What stands beside the steps."""


def read_file(path: Path, changes: Mapping[str, Any] | None = None) -> tuple[Pipeline, str]:
    """The pipeline of a YAML file, and its document as JSON text.

    Parameters
    ----------
    changes
        Values by dotted paths, which replace what stands in the file: `pipeline.steps.alpha.work.timeout`.

    Raises
    ------
    PipelineInvalid
        The file cannot be read, or does not fit.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise PipelineInvalid(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise PipelineInvalid(f"{path} cannot be read: it is no text in UTF-8.") from None
    try:
        document = _plain(_parsed(text))
        for name, value in (changes or {}).items():
            _put(document, name, value)
        pipeline = read(document)
    except PipelineInvalid as error:
        raise PipelineInvalid(f"{path}: {error}") from None
    return pipeline, json.dumps(document)


def read(document: Mapping[str, Any]) -> Pipeline:
    """The pipeline of a document.

    Raises
    ------
    PipelineInvalid
        Something is not known or does not fit; the message names its place.
    """
    found = _whole(document)
    try:
        pipeline = Pipeline.model_validate(found)
    except ValidationError as error:
        raise PipelineInvalid(_told(error, found)) from None
    check(pipeline)
    return pipeline


def read_value(text: str) -> Any:
    """A value as it stands in a file, or in JSON: `3`, `1e-3`, `[1, 2]`; what is neither is a text."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return _parsed(text)
    except PipelineInvalid:
        return text


def _parsed(text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses a key that stands twice in one mapping, of which YAML would take the last."""

    def mapping(loader: Loader, node: yaml.MappingNode) -> dict[Any, Any]:
        loader.flatten_mapping(node)
        made: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            if key in made:
                raise PipelineInvalid(f"The key {key!r} stands twice, again in line {key_node.start_mark.line + 1}.")
            made[key] = loader.construct_object(value_node, deep=True)
        return made

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        return yaml.load(text, Loader)
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise PipelineInvalid(f"This is no YAML: {error}") from None


def _plain(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise PipelineInvalid("A pipeline is a mapping with the keys version, name and pipeline.")
    try:
        # YAML reads 2026-03-14 as a date.
        ready: dict[str, Any] = json_ready(_dated(document), where="document")
    except ValueError as error:
        raise PipelineInvalid(f"{error}.") from None
    return ready


def _dated(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _dated(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_dated(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def _put(document: Any, name: str, value: Any) -> None:
    """Set what lies along a path; in a list the parts that have a name are found by that, others by their place."""
    *path, last = name.split(".")
    for part in path:
        document = _part(document, part, name)
    if isinstance(document, dict):
        document[last] = value
    elif isinstance(document, list) and last.isdigit() and int(last) < len(document):
        document[int(last)] = value
    else:
        raise PipelineInvalid(f"{name} cannot be set: there is no {last!r}.")


def _part(document: Any, part: str, name: str) -> Any:
    if isinstance(document, dict):
        return document.setdefault(part, {})
    if isinstance(document, list):
        for at, each in enumerate(document):
            if (isinstance(each, dict) and each.get("name") == part) or str(at) == part:
                return each
    raise PipelineInvalid(f"{name} cannot be set: there is no {part!r}.")


def _whole(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document in the form of the record: steps as a list beside the rest, as in no version of the file."""
    found = dict(document)
    for key in ("steps", "runs_on"):
        if key in found:
            raise PipelineInvalid(f"{key}: it belongs below `pipeline:`.")
    body = found.pop("pipeline", None)
    if not isinstance(body, Mapping):
        raise PipelineInvalid("pipeline: it is a mapping with the key `steps`.")
    version = str(found.get("version", "2"))
    heads = {key: body[key] for key in _HEADS if key in body}
    if "steps" in body or version != "1":
        unknown = sorted(set(body) - {*_HEADS, "steps"})
        if unknown:
            raise PipelineInvalid(f"pipeline.{unknown[0]}: this key is not known. Steps stand below `pipeline.steps`.")
        steps = body.get("steps")
    else:
        steps = {key: each for key, each in body.items() if key not in _HEADS}
    if "matrix" in heads and "matrix" in found:
        raise PipelineInvalid("pipeline.matrix: there is one beside `pipeline` as well. Keep one of them.")
    schedule = found.get("schedule")
    if version == "1" and isinstance(schedule, Mapping):
        found["schedule"] = _older_schedule(schedule)
    return {**found, **heads, "version": version, "steps": _listed(steps)}


def _older_schedule(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """The schedule of version 1, whose count 0 is for ever."""
    if "count" not in schedule:
        return dict(schedule)
    if "lives" in schedule:
        raise PipelineInvalid("schedule.count: there are `lives` as well. Keep one of them.")
    return {**{key: each for key, each in schedule.items() if key != "count"}, "lives": schedule["count"] or -1}


def _listed(steps: Any) -> Any:
    if not isinstance(steps, Mapping):
        return steps
    listed = []
    for name, step in steps.items():
        if not isinstance(step, Mapping):
            raise PipelineInvalid(f"pipeline.steps.{name}: a step is a mapping with the keys stage and work.")
        if step.get("name", name) != name:
            raise PipelineInvalid(f"pipeline.steps.{name}: it is called {step['name']!r} within. Keep one name.")
        listed.append({**step, "name": name})
    return listed


def _told(error: ValidationError, document: Mapping[str, Any]) -> str:
    mistakes = []
    for each in mistakes_in(error, document):
        text = f"this key is not known; {meant(Pipeline, each.place)}" if each.strange else each.text
        place = _place(each.place, document)
        mistakes.append(f"{place}: {text}" if place else text)
    return ended("; ".join(mistakes))


def _place(loc: Iterable[str | int], document: Any) -> str:
    """Where something stands in the file, steps and deployments by their names."""
    parts: list[str] = []
    for part in loc:
        known = isinstance(document, (list, dict)) and (isinstance(part, int) == isinstance(document, list))
        try:
            document = document[part] if known else None
        except (KeyError, IndexError):
            document = None
        named = isinstance(part, int) and isinstance(document, dict) and isinstance(document.get("name"), str)
        parts.append(document["name"] if named and document is not None else str(part))
    if parts[:1] in (["steps"], ["runs_on"]):
        parts.insert(0, "pipeline")
    return ".".join(parts)
