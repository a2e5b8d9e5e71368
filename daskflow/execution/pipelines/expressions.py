"""The expressions of pipelines, `${{ pipeline.alpha.status == 'success' }}`: parsed, and evaluated.

::

    either     = both, {"or", both}                  also ||
    both       = negation, {"and", negation}         also &&
    negation   = "not", negation | comparison        also !
    comparison = term, ["==" | "!=" | "<" | "<=" | ">" | ">=", term]
    term       = "(", either, ")" | text | number | true | false | null | name
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from daskflow.errors import PipelineInvalid

Lookup = Callable[[str], Any]
"""Gives what a name stands for."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'[^']*'|"[^"]*")
      | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)*)
      | (?P<sign>==|!=|<=|>=|&&|\|\||[<>!()])
    )""",
    re.VERBOSE,
)
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_SIGNS = {"&&": "and", "||": "or", "!": "not"}
_DEEPEST = 50


class Token(NamedTuple):
    """A word of an expression."""

    kind: str
    text: str


Evaluate = Callable[[Lookup], Any]


class Expression(NamedTuple):
    """An expression that was parsed.

    Examples
    --------
    >>> found = expression("pipeline.alpha.status == 'success' and matrix.event > 3")
    >>> found.names
    ('pipeline.alpha.status', 'matrix.event')
    >>> found.value({"pipeline.alpha.status": "success", "matrix.event": 7}.get)
    True
    """

    names: tuple[str, ...]
    """What it refers to."""
    value: Evaluate
    """Evaluates it, given what gives the values of names."""


def expression(text: str) -> Expression:
    """Parse an expression.

    Raises
    ------
    PipelineInvalid
        It is none; the message says where.

    Notes
    -----
    Values of kinds that have no order are neither smaller nor larger than each other. `and` and `or` give true or
    false.
    """
    parser = _Parser(text)
    value = parser.either(0)
    if parser.token is not None:
        raise parser.unexpected()
    return Expression(tuple(dict.fromkeys(parser.names)), value)


class _Parser:
    def __init__(self, text: str) -> None:
        self.names: list[str] = []
        self._text = text
        self._tokens = _tokens(text)
        self.token: Token | None = next(self._tokens, None)

    def unexpected(self) -> PipelineInvalid:
        found = "its end" if self.token is None else repr(self.token.text)
        return PipelineInvalid(
            f"{found} was not expected in the expression {self._text!r:.200}. Write such as "
            "pipeline.alpha.status == 'success' and not (matrix.event > 3)."
        )

    def _take(self, *texts: str) -> str | None:
        token = self.token
        if token is None or token.kind == "text" or _SIGNS.get(token.text, token.text) not in texts:
            return None
        self.token = next(self._tokens, None)
        return _SIGNS.get(token.text, token.text)

    def either(self, depth: int) -> Evaluate:
        if depth > _DEEPEST:
            raise PipelineInvalid(f"The expression {self._text!r:.100} is nested too deeply.")
        parts = [self._both(depth)]
        while self._take("or"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else lambda lookup: any(part(lookup) for part in parts)

    def _both(self, depth: int) -> Evaluate:
        parts = [self._negation(depth)]
        while self._take("and"):
            parts.append(self._negation(depth))
        return parts[0] if len(parts) == 1 else lambda lookup: all(part(lookup) for part in parts)

    def _negation(self, depth: int) -> Evaluate:
        times = 0
        while self._take("not"):
            times += 1
        inner = self._comparison(depth)
        if not times:
            return inner
        return lambda lookup: bool(inner(lookup)) is (times % 2 == 0)

    def _comparison(self, depth: int) -> Evaluate:
        left = self._term(depth)
        sign = self._take(*_COMPARE)
        if sign is None:
            return left
        right = self._term(depth)
        return lambda lookup: _compared(sign, left(lookup), right(lookup))

    def _term(self, depth: int) -> Evaluate:
        if self._take("("):
            inner = self.either(depth + 1)
            if not self._take(")"):
                raise self.unexpected()
            return inner
        token = self.token
        if token is None or token.kind == "sign" or token.text in ("and", "or", "not"):
            raise self.unexpected()
        self.token = next(self._tokens, None)
        if token.kind == "name" and token.text not in _WORDS:
            self.names.append(token.text)
            return lambda lookup: lookup(token.text)
        value = _constant(token)
        return lambda lookup: value


def _tokens(text: str) -> Iterator[Token]:
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            raise PipelineInvalid(f"{text[place:].strip()!r:.50} cannot be read in the expression {text!r:.200}.")
        kind = str(found.lastgroup)
        yield Token(kind, found.group(kind))
        place = found.end()


def _constant(token: Token) -> Any:
    if token.kind == "text":
        return token.text[1:-1]
    if token.kind != "number":
        return _WORDS[token.text]
    try:
        return json.loads(token.text)
    except ValueError:
        raise PipelineInvalid(
            f"The number {token.text:.20}... has {len(token.text)} digits, which are too many."
        ) from None


def _compared(sign: str, left: Any, right: Any) -> bool:
    try:
        return bool(_COMPARE[sign](left, right))
    except TypeError:
        return False
