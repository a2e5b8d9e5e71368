"""Fills parameters into commands and files."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from daskflow.commands.quoting import Quotes
from daskflow.errors import ArgumentsInvalid
from daskflow.model.command import Command

_FIELD = r"([A-Za-z_]\w*)(?:\[([^\[\]{}]+)\])?(?::([^{}\s]*))?"
_TOKEN = re.compile(rf"\$\{{[^{{}}]*\}}|\{{\{{\{{{_FIELD}\}}\}}\}}|\{{\{{({_FIELD})\}}\}}|\{{{_FIELD}\}}")
"""What is the shell's or the program's; a field in braces; a text that only looks like a field; a field."""


class Field(NamedTuple):
    """A place for a parameter."""

    text: str
    """As it was written, without its braces."""
    name: str
    """Name of the parameter."""
    item: str | None = None
    """Key or position within the parameter; None: all of it."""
    spec: str | None = None
    """Format, as in `format`."""


def names_in(command: Command | str) -> set[str]:
    """The names of the parameters that a command, or one of its texts, uses.

    Examples
    --------
    >>> sorted(names_in(Command("lmp -in {script} > {out[0]}", env={"SEED": "{seed:04d}"})))
    ['out', 'script', 'seed']
    """
    return {field.name for text in _texts(command) for field in _fields(text)}


def check(command: Command | str, parameters: Collection[str]) -> None:
    """See that a command, or one of its texts, uses only parameters that are there.

    Parameters
    ----------
    parameters
        Names; where there are none, nothing of a command is a template.

    Raises
    ------
    ArgumentsInvalid
        It uses another one.
    """
    for name in sorted(names_in(command) - set(parameters)) if parameters else ():
        raise ArgumentsInvalid(_unknown(command, name, parameters))


def fill_command(command: Command, parameters: Mapping[str, Any]) -> Command:
    """A command with its parameters.

    Raises
    ------
    ArgumentsInvalid
        A parameter is not there, has no text, or has none in the format that is asked for.

    Notes
    -----
    No value can make a line do something else: what the shell might take for more than a word is put into a variable at
    the very start of the line, whose text no shell reads again.

    Examples
    --------
    >>> fill_command(Command(["lmp", "-in", "{script}"]), {"script": "melt.in"}).argv
    ('lmp', '-in', 'melt.in')
    >>> print(fill_command(Command("grep {word} log"), {"word": "it's; here"}).line)
    parameter_1='it'"'"'s; here'
    grep "${parameter_1}" log
    """
    if not parameters:
        return command
    check(command, parameters)
    try:
        changes: dict[str, Any] = {
            "env": {name: _fill(text, parameters) for name, text in command.env.items()},
            "workdir": _fill(command.workdir, parameters),
            "argv": tuple([part for given in command.argv for part in _fill_part(given, parameters)]),
        }
        if command.argv and not changes["argv"]:
            raise ArgumentsInvalid("there is no program, since its list is empty.")
        if command.line is not None:
            changes["line"] = _fill_line(command.line, parameters)
        if isinstance(command.stdin, str):
            changes["stdin"] = _fill(command.stdin, parameters)
    except ArgumentsInvalid as error:
        raise ArgumentsInvalid(f"{command.text!r:.200}: {error}") from None
    return command.model_copy(update=changes)


def shown(command: Command, parameters: Mapping[str, Any]) -> str:
    """A command with its parameters, as people would write it.

    Raises
    ------
    ArgumentsInvalid
        As `fill_command` does.

    Examples
    --------
    >>> shown(Command("grep {word} log"), {"word": "two words"})
    "grep 'two words' log"
    """
    if command.line is None or not parameters:
        return fill_command(command, parameters).text

    def quoted(field: Field, _: int) -> str:
        value = plain(_value(field, parameters))
        return " ".join(
            [shlex.quote(text_of(item, field.spec)) for item in (value if isinstance(value, list) else [value])]
        )

    return _replace(command.line, parameters, quoted)


def fill_text(text: str, parameters: Mapping[str, Any]) -> str:
    """A value of an environment, or the like, with its parameters.

    Raises
    ------
    ArgumentsInvalid
        A parameter is not there, has no text, or has none in the format that is asked for.
    """
    if not parameters:
        return text
    check(text, parameters)
    return _fill(text, parameters)


def fill_content(text: str, parameters: Mapping[str, Any]) -> str:
    """A text with its parameters; what is none is left as it is.

    Examples
    --------
    >>> fill_content('run {nsteps} # {"a": {b}} ${nsteps}', {"nsteps": 100})
    'run 100 # {"a": {b}} ${nsteps}'
    """
    return _fill(text, parameters, content=True)


def text_of(value: Any, spec: str | None = None) -> str:
    """The text that stands for a value in commands and files.

    Parameters
    ----------
    spec
        Format, as in `format`.

    Raises
    ------
    ArgumentsInvalid
        It has none.

    Notes
    -----
    Numbers have the shortest text that gives the same number again; True is `true`, False is `false`; of a list it is
    the texts of its items, with blanks between them. None, bytes and mappings have no text.

    Examples
    --------
    >>> text_of(0.1), text_of(True), text_of([1, 2.5]), text_of(2 / 3, ".3f")
    ('0.1', 'true', '1 2.5', '0.667')
    """
    value = plain(value)
    if isinstance(value, list):
        return " ".join([text_of(item, spec) for item in value])
    if spec:
        try:
            text = format(value, spec)
        except (ValueError, TypeError) as error:
            raise ArgumentsInvalid(f"{value!r:.100} has no text in the format {spec!r}: {error}.") from None
    else:
        text = _exact(value)
    if "\0" in text:
        raise ArgumentsInvalid(f"{text!r:.100} holds a NUL byte, which no command can get.")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ArgumentsInvalid(f"{text!r:.100} holds half a character, which cannot be written.") from None
    return text


def plain(value: Any) -> Any:
    """A number of numpy as Python's own; a tuple, a range or an array as a list."""
    # Times of numpy become bare numbers in some units: they have no text.
    if hasattr(value, "ndim") and getattr(getattr(value, "dtype", None), "kind", "O") not in "mM":
        give = getattr(value, "tolist", None) or (getattr(value, "item", None) if value.ndim == 0 else None)
        return give() if callable(give) else value
    return list(value) if isinstance(value, (tuple, range)) else value


def _exact(value: Any) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, os.PathLike):
        path = os.fspath(value)
        if isinstance(path, str):
            return path
    raise ArgumentsInvalid(
        f"{value!r:.100} (a {type(value).__qualname__}) has no text for a command: pass a text, a number, or a list of "
        "them, or write the data into an input file."
    )


def _texts(command: Command | str) -> Iterator[str]:
    if isinstance(command, str):
        yield command
        return
    yield from (command.line,) if command.line is not None else command.argv
    yield from command.env.values()
    yield command.workdir
    if isinstance(command.stdin, str):
        yield command.stdin


def _fields(text: str) -> Iterator[Field]:
    for token in _TOKEN.finditer(text):
        field = _field(token)
        if field is not None:
            yield field


def _field(token: re.Match[str]) -> Field | None:
    for name, item, spec in (token.group(1, 2, 3), token.group(8, 9, 10)):
        if name is not None:
            return Field(token.group().strip("{}"), name, item, spec)
    return None


def _unknown(command: Command | str, name: str, parameters: Collection[str]) -> str:
    text = command if isinstance(command, str) else command.text
    near = difflib.get_close_matches(name, parameters, 1)
    known = f"Did you mean {{{near[0]}}}? " if near else f"There are: {', '.join(sorted(parameters))}. "
    return (
        f"{text!r:.200} uses {{{name}}}, which is no parameter of the job. {known}"
        f"If it is meant as it stands, write {{{{{name}}}}}."
    )


def _fill(text: str, parameters: Mapping[str, Any], *, content: bool = False) -> str:
    return _replace(text, parameters, lambda field, _: text_of(_value(field, parameters), field.spec), content=content)


def _replace(
    text: str, parameters: Mapping[str, Any], fill: Callable[[Field, int], str], *, content: bool = False
) -> str:
    def filled(token: re.Match[str]) -> str:
        field = _field(token)
        if field is not None and field.name in parameters:
            made = fill(field, token.start())
            return f"{{{made}}}" if token.group(1) else made
        if token.group(4) and (token.group(5) in parameters or not content):
            return f"{{{token.group(4)}}}"
        return token.group()

    return _TOKEN.sub(filled, text) if "{" in text else text


def _fill_part(part: str, parameters: Mapping[str, Any]) -> list[str]:
    token = _TOKEN.fullmatch(part)
    field = _field(token) if token is not None and not token.group(1) else None
    if field is not None and field.name in parameters:
        value = plain(_value(field, parameters))
        if isinstance(value, list):
            return [text_of(item, field.spec) for item in value]
    return [_fill(part, parameters)]


def _fill_line(line: str, parameters: Mapping[str, Any]) -> str:
    quotes = Quotes(line)
    settings: list[str] = []

    def word(text: str, place: int) -> str:
        if text and shlex.quote(text) == text:
            return text
        variable = f"parameter_{len(settings) + 1}"
        settings.append(f"{variable}={shlex.quote(text)}\n")
        return quotes.around(f"${{{variable}}}", place)

    def fill(field: Field, place: int) -> str:
        value = plain(_value(field, parameters))
        if isinstance(value, list) and quotes.bare(place):
            return " ".join([word(text_of(item, field.spec), place) for item in value])
        return word(text_of(value, field.spec), place)

    filled = _replace(line, parameters, fill)
    return "".join(settings) + filled


def _value(field: Field, parameters: Mapping[str, Any]) -> Any:
    value = parameters[field.name]
    if field.item is None:
        return value
    keys: list[Any] = [field.item, int(field.item)] if re.fullmatch("-?[0-9]+", field.item) else [field.item]
    for key in keys:
        try:
            return value[key]
        except (LookupError, TypeError):
            continue
    raise ArgumentsInvalid(f"{{{field.text}}} is not there: {field.name} is {value!r:.100}.")
