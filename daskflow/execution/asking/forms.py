"""What the answer to a question may be: told to people, read from what they write, and checked."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from daskflow.errors import AnswerRefused
from daskflow.model.records import QuestionRecord

_WORDS = {"yes": True, "y": True, "on": True, "no": False, "n": False, "off": False}
_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
_DEPTH = 4
"""So deep a form is told."""


def takes(form: str) -> str:
    """What a form takes, for people.

    Parameters
    ----------
    form
        JSON schema; empty for a question that only waits for somebody.

    Examples
    --------
    >>> takes('{"enum": ["continue", "stop"]}')
    'continue | stop'
    >>> takes('{"properties": {"niter": {"type": "integer", "exclusiveMinimum": 0, "default": 100}}}')
    'niter: integer > 0 (100)'
    >>> takes("")
    'nothing, only that the run goes on'
    """
    if not form:
        return "nothing, only that the run goes on"
    schema = json.loads(form)
    return _told(schema, schema, _DEPTH)


def _told(schema: Any, whole: Any, depth: int) -> str:
    schema = resolved(schema, whole)
    if depth == 0 or not isinstance(schema, dict):
        return "JSON"
    if "const" in schema or "enum" in schema:
        return " | ".join(_plain(value) for value in schema.get("enum", [schema.get("const")]))
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " or ".join(_told(one, whole, depth) for one in schema[word])
    if "properties" in schema:
        return ", ".join(_field(name, one, whole, depth) for name, one in schema["properties"].items())
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_nested(schema.get('items', {}), whole, depth)}"
    name = {"boolean": "true | false", "string": "text", None: "JSON"}.get(kind, str(kind))
    return " ".join([name, *[f"{sign} {schema[word]}" for word, sign in _BOUNDS.items() if word in schema]])


def _field(name: str, schema: Any, whole: Any, depth: int) -> str:
    return f"{name}: {_nested(schema, whole, depth)}" + (
        f" ({_plain(schema['default'])})" if "default" in schema else ""
    )


def _nested(schema: Any, whole: Any, depth: int) -> str:
    text = _told(schema, whole, depth - 1)
    return f"{{{text}}}" if "properties" in resolved(schema, whole) else text


def resolved(schema: Any, whole: Any) -> Any:
    """The schema that a reference within the form means."""
    for _ in range(_DEPTH):
        if not isinstance(schema, dict) or "$ref" not in schema:
            break
        found = whole
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found.get(step, {})
        schema = {**found, **{word: value for word, value in schema.items() if word != "$ref"}}
    return schema


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def read_answer(question: QuestionRecord, text: str | None, fields: Mapping[str, str]) -> str:
    """The answer that somebody wrote, as JSON text.

    Parameters
    ----------
    text
        The whole answer: JSON, or text where the form takes one. None: the default of the question, if it has one.
    fields
        Fields of the answer by name, each as `text`; the others are those of the default.

    Raises
    ------
    AnswerRefused
        It does not fit, or there is none where one is needed; the message says what the question takes.
    """
    if text is not None and fields:
        raise AnswerRefused("Give the whole answer, or its fields by --set, not both.")
    if not question.form:
        if text is not None or fields:
            raise AnswerRefused(f"The question {question.id} takes {takes('')}: daskflow answer {question.id}")
        return "null"
    if text is None and not fields:
        if question.preset is None:
            raise AnswerRefused(f"The question {question.id} has no default. It takes: {takes(question.form)}.")
        return question.preset
    candidates = _fields_read(question, fields) if fields else _readings(str(text))
    return checked_answer(question, *candidates)


def checked_answer(question: QuestionRecord, *candidates: Any) -> str:
    """The first of several readings of an answer that fits the form of the question, as JSON text.

    Raises
    ------
    AnswerRefused
        None does; the message says why the first one does not.
    """
    problems = [_problem(question.form, value) for value in candidates]
    for value, problem in zip(candidates, problems, strict=True):
        if not problem:
            return json.dumps(value)
    raise AnswerRefused(
        f"{json.dumps(candidates[0]):.200} does not fit: {problems[0]}. "
        f"The question {question.id} stays open and takes: {takes(question.form)}."
    )


def _readings(text: str) -> list[Any]:
    """What a text may mean: JSON before the text itself, before yes and no."""
    found: list[Any] = []
    with contextlib.suppress(ValueError):
        found.append(json.loads(text))
    word = text.strip().lower()
    return [*found, text, *([_WORDS[word]] if word in _WORDS else [])]


def _fields_read(question: QuestionRecord, fields: Mapping[str, str]) -> Iterator[Any]:
    """The answers that have these fields: each field is read as the first reading that fits it alone."""
    form = json.loads(question.form)
    base = json.loads(question.preset or "{}")
    made = dict(base) if isinstance(base, dict) else {}
    known = resolved(form, form)
    for name, text in fields.items():
        schema = known.get("properties", {}).get(name) or known.get("additionalProperties")
        if not schema:
            raise AnswerRefused(f"The answer has no field {name!r}. The question takes: {takes(question.form)}.")
        apart = json.dumps({**(schema if isinstance(schema, dict) else {}), "$defs": form.get("$defs", {})})
        readings = _readings(text)
        made[name] = next((value for value in readings if not _problem(apart, value)), readings[0])
    yield made


def _problem(form: str, value: Any) -> str:
    """Why a value does not fit a form; empty where it does."""
    from jsonschema import SchemaError
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for

    schema = json.loads(form)
    validator = validator_for(schema)
    with contextlib.suppress(SchemaError):
        validator.check_schema(schema)
        return _described(best_match(validator(schema).iter_errors(value)))
    return ""  # the run itself looks at the answer


def _described(found: Any) -> str:
    if found is None:
        return ""
    place = ".".join(map(str, found.absolute_path))
    return f"{place}: {found.message}" if place else str(found.message)
