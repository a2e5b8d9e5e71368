"""What makes several jobs of one, as the PROMINENCE client says it, and what comes of it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from daskflow import CommandJob
from daskflow.compat.prominence.errors import WorkflowCreationError
from daskflow.compat.prominence.workflowdocuments import FactoryDocument, ParameterDocument
from daskflow.errors import ArgumentsInvalid

_MENTION = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))", re.ASCII)


class ParameterSet:
    """The values of one parameter: from `start` to `end`, both included, or those that are listed.

    Examples
    --------
    >>> ParameterSet("t", start=0, end=0.3, step=0.1).to_dict()
    {'name': 't', 'start': 0, 'end': 0.3, 'step': 0.1}
    """

    def __init__(
        self,
        name: str,
        start: float | None = None,
        end: float | None = None,
        step: float | None = None,
        values: Iterable[Any] = (),
    ) -> None:
        self.name = name
        self.start = start
        self.end = end
        self.step = step
        self.values = list(values)

    def to_dict(self) -> dict[str, Any]:
        """As JSON describes it."""
        numbers = {"start": self.start, "end": self.end, "step": self.step}
        given: dict[str, Any] = {name: value for name, value in numbers.items() if value is not None}
        return {"name": self.name, **given, **({"values": self.values} if self.values else {})}


class Factory:
    """What makes several jobs of one.

    Parameters
    ----------
    name
        For people.
    jobs
        The jobs, or their names, of which it makes several.
    """

    type: ClassVar[str] = ""

    def __init__(self, name: str | None = None, jobs: Iterable[Any] = ()) -> None:
        self.name = name
        self.jobs = list(jobs)

    def to_dict(self) -> dict[str, Any]:
        """As JSON describes it."""
        name = {} if self.name is None else {"name": self.name}
        return {**name, "type": self.type, "jobs": [job_name(job) for job in self.jobs]}


class _Varied(Factory):
    def __init__(self, name: str | None = None, jobs: Iterable[Any] = (), parameters: Iterable[Any] = ()) -> None:
        super().__init__(name, jobs)
        self.parameters = list(parameters)
        """The `ParameterSet`s."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON describes it."""
        return {**super().to_dict(), "parameters": [parameter.to_dict() for parameter in self.parameters]}


class ParameterSweep(_Varied):
    """A job for each combination of the values of any number of parameters."""

    type = "parameterSweep"


class Zip(_Varied):
    """A job for each of the values of several parameters, which are taken side by side."""

    type = "zip"


class Repeat(Factory):
    """The same job several times."""

    type = "repeat"

    def __init__(self, name: str | None = None, jobs: Iterable[Any] = (), number: int | None = None) -> None:
        super().__init__(name, jobs)
        self.number = number
        """How often."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON describes it."""
        return {**super().to_dict(), "number": self.number}


def factory_from(data: FactoryDocument) -> Factory:
    """What a description says."""
    if data.type == "repeat":
        return Repeat(data.name, data.jobs, data.number)
    sets = [ParameterSet(each.name, each.start, each.end, each.step, each.values) for each in data.parameters]
    kind: type[_Varied] = ParameterSweep if data.type == "parameterSweep" else Zip
    return kind(data.name, data.jobs, sets)


def job_name(job: Any) -> str:
    """The name of a job that is given itself, or by its name."""
    return job if isinstance(job, str) else str(job.name)


def instances(factory: FactoryDocument) -> list[dict[str, str]]:
    """The parameters of each of the jobs that a factory makes.

    Raises
    ------
    WorkflowCreationError
        Its values do not fit together.

    Examples
    --------
    >>> steps = {"name": "t", "start": 0, "end": 0.3, "step": 0.1}
    >>> instances(FactoryDocument(type="parameterSweep", jobs=("a",), parameters=[steps]))
    [{'t': '0'}, {'t': '0.1'}, {'t': '0.2'}, {'t': '0.3'}]
    """
    if factory.type == "repeat":
        return [{} for _ in range(factory.number or 0)]
    columns = [[(parameter.name, value) for value in _values(parameter)] for parameter in factory.parameters]
    if factory.type == "parameterSweep":
        return [dict(row) for row in itertools.product(*columns)]
    if len({len(column) for column in columns}) > 1:
        told = ", ".join(f"{column[0][0]} {len(column)}" for column in columns)
        raise WorkflowCreationError(f"The parameters of a zip have unequal numbers of values: {told}.")
    return [dict(row) for row in zip(*columns, strict=True)]


def _values(parameter: ParameterDocument) -> list[str]:
    if parameter.values:
        return [shown(value) for value in parameter.values]
    assert parameter.start is not None
    assert parameter.end is not None
    assert parameter.step is not None  # the document has seen to it
    try:
        return [shown(value) for value in CommandJob.span(parameter.start, parameter.end, parameter.step)]
    except ArgumentsInvalid as error:
        raise WorkflowCreationError(f"The parameter {parameter.name} does not fit: {error}") from None


def shown(value: float | str) -> str:
    """A value as it stands in commands: whole numbers without a point.

    Examples
    --------
    >>> shown(3.0), shown(0.5), shown("a=b")
    ('3', '0.5', 'a=b')
    """
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def substituted(text: str, values: Mapping[str, str]) -> str:
    """A text with `$name` and `${name}` replaced by values; what is no name of a value stays.

    Examples
    --------
    >>> substituted("out-$a-${b}_$c.$$", {"a": "1=2", "b": "3"})
    'out-1=2-3_$c.$$'
    """
    return _MENTION.sub(lambda found: values.get(found[1] or found[2], found[0]), text)
