"""Finds the flow that a target names, and reads its arguments from text."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from daskflow.errors import ArgumentsInvalid, ExtraMissing, TargetInvalid
from daskflow.graph.flow import Flow

_FORMS = "Write path/to/file.py:flow or package.module:flow."
_EXTRAS = {"daskflow.examples": "examples"}
"""Packages of daskflow whose dependencies an extra brings."""


class Target(NamedTuple):
    """A flow, and how it is found again."""

    flow: Flow[Any, Any]
    text: str
    """The target with the absolute path of its file, so that it is found from any directory."""


def load_flow(target: str) -> Target:
    """Load the flow that `path/to/file.py:flow` or `package.module:flow` names.

    Raises
    ------
    TargetInvalid
        The file or module is not there or does not load, or has no such flow; the message lists those that it has.
    ExtraMissing
        The module belongs to an extra of daskflow that is not installed.

    Notes
    -----
    A file is imported by its own name, with its directory (that of the outermost package around it) first on
    `sys.path`, so that the processes of workers can import it as well.
    """
    place, _, name = target.rpartition(":")
    if not place and target.endswith(".py"):
        place, name = target, ""
    if not place:
        raise TargetInvalid(f"{target!r} is no target. {_FORMS}")
    if place.endswith(".py") or os.sep in place:
        return Target(_flow_in(_module_of(Path(place)), name, place), f"{Path(place).resolve()}:{name}")
    _search(Path.cwd())
    return Target(_flow_in(_imported(place, place), name, place), target)


def _module_of(file: Path) -> ModuleType:
    if not file.is_file():
        raise TargetInvalid(f"There is no file {file}.")
    file = file.resolve()
    if file.suffix != ".py" or "." in file.stem:
        raise TargetInvalid(f"{file.name} cannot be imported: its name must end with .py and have no other dot.")
    root, parts = file.parent, [file.stem]
    while (root / "__init__.py").is_file():
        root, parts = root.parent, [root.name, *parts]
    _search(root)
    name = ".".join(parts)
    module = _imported(name, str(file))
    if Path(module.__file__ or "").resolve() != file:
        raise TargetInvalid(f"{file.name} bears the name of another module, {name}. Rename the file.")
    return module


def _search(directory: Path) -> None:
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


def _imported(name: str, place: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(f"{missing}."):
            raise TargetInvalid(f"There is no module {missing!r} in {Path.cwd()} or among what is installed.") from None
        extra = next((extra for package, extra in _EXTRAS.items() if name.startswith(package)), None)
        if extra is not None:
            raise ExtraMissing(f"{name} needs {missing}. Install it: pip install 'daskflow[{extra}]'") from None
        raise TargetInvalid(f"{place} does not load: {_described(error)}") from error
    except (Exception, SystemExit) as error:
        raise TargetInvalid(f"{place} does not load: {_described(error)}") from error


def _described(error: BaseException) -> str:
    """The error, and where in the user's own code it arose."""
    text = "".join(traceback.format_exception_only(error)).strip()
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    return text + (f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else "")


def _is_own(file: str) -> bool:
    return file != __file__ and not file.startswith("<") and "importlib" not in file and "site-packages" not in file


def _flow_in(module: ModuleType, name: str, place: str) -> Flow[Any, Any]:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, Flow):
        return found
    flows = [f"{place}:{known}" for known, thing in vars(module).items() if isinstance(thing, Flow)]
    there = f"It has {', '.join(flows)}." if flows else "It has none: declare a function with @flow."
    if not name:
        raise TargetInvalid(f"{place} names no flow. {there}")
    if found is not None:
        raise TargetInvalid(f"{name!r} in {place} is no flow, but a {type(found).__name__}. {there}")
    raise TargetInvalid(f"{place} has no flow {name!r}. {there}")


def read_arguments(flow: Flow[Any, Any], texts: Iterable[str]) -> dict[str, Any]:
    """The arguments of a flow from texts `name=value`, validated.

    Values are JSON or YAML: `3`, `1e-3`, `[1, 2]`, `true`; a parameter whose type does not take that gets the text.

    Raises
    ------
    ArgumentsInvalid
        A text is not of that form, or does not fit the flow's parameters.
    """
    annotations = _annotations(flow)
    pairs = read_pairs(texts).items()
    return flow.arguments(**{name: _read(value, annotations.get(name)) for name, value in pairs})


def read_pairs(texts: Iterable[str]) -> dict[str, str]:
    """The values by name of texts `name=value`.

    Raises
    ------
    ArgumentsInvalid
        A text is not of that form.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ArgumentsInvalid(f"{text!r} sets nothing. Write --set name=value.")
        found[name.strip()] = value
    return found


def _annotations(flow: Flow[Any, Any]) -> dict[str, Any]:
    try:
        parameters = inspect.signature(flow.function, eval_str=True).parameters
    except (NameError, TypeError):  # a name that only exists while types are checked
        return {}
    return {name: p.annotation for name, p in parameters.items() if p.annotation is not p.empty}


def _read(text: str, annotation: Any) -> Any:
    value = _parsed(text)
    if annotation is not None and not isinstance(value, str):
        try:
            adapter = TypeAdapter(annotation)
        except Exception:  # a type of the user's own that pydantic does not know
            return value
        if not _fits(adapter, value) and _fits(adapter, text):
            return text
    return value


def _fits(adapter: TypeAdapter[Any], value: Any) -> bool:
    try:
        adapter.validate_python(value)
    except ValidationError:
        return False
    return True


def _parsed(text: str) -> Any:
    # YAML takes 1e-3 for a text.
    try:
        return json.loads(text)
    except ValueError:
        pass
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def fit_again(flow: Flow[Any, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded arguments, in the order of a flow's parameters as they are now.

    Raises
    ------
    ArgumentsInvalid
        The flow has no such parameter any more, or one that nothing is recorded for and that has no default.
    """
    parameters = inspect.signature(flow.function).parameters
    gone = [name for name in arguments if name not in parameters]
    new = [name for name, p in parameters.items() if name not in arguments and p.default is p.empty]
    if gone or new:
        raise ArgumentsInvalid(
            f"The parameters of {flow.name}() changed: {', '.join(gone + new)} cannot be taken over. Run it anew."
        )
    return {name: arguments.get(name, p.default) for name, p in parameters.items()}
