"""Conditions: what must hold before a job may start, and how they are combined."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from contextlib import suppress
from typing import Any, NoReturn

from daskflow.errors import ConditionMisused, NoKey, UsageError

LOOK = 0.05
"""How often `Condition.wait` looks at facts that may be decided in any order [s]."""
_LONGEST = 200
_SHOWN_DIGITS = 4
_SHOWN_NAME = 40


class Condition(ABC):
    """Something that holds, does not hold, or is not decided yet; combined by `&`, `|`, `~` and `any_of`.

    `fit(data, when=a.succeeded & ~b.failed)` starts when its condition holds, and is skipped as soon as it can never
    hold: `a | b` holds when the first of the two does, whatever becomes of the other.

    Notes
    -----
    Immutable, but for what facts get told; safe for threads. What is decided stays decided.
    """

    __slots__ = ("__weakref__", "_facts")

    _facts: tuple[Fact, ...]
    parts: tuple[Condition, ...] = ()
    """The conditions that it is made of."""

    @abstractmethod
    def truth(self) -> bool | None:
        """Whether the condition holds; None where that is not decided yet."""

    def is_met(self) -> bool:
        """Whether the condition holds now; what is not decided yet does not."""
        for fact in self.facts:
            fact.ask()
        return self.truth() is True

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the condition is decided; returns whether it holds.

        Parameters
        ----------
        timeout
            How long to wait [s]; None waits for ever.

        Raises
        ------
        TimeoutError
            It was not decided in time; what it is about goes on.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        for fact in self.facts:
            if fact.truth() is None:
                fact.begin()
        turn = 0
        while (truth := self.truth()) is None:
            if turn and time.monotonic() >= end:
                raise TimeoutError(f"{self.text()} was not decided within {timeout:g} s.")
            self._linger(turn, end)
            turn += 1
        return truth

    def _linger(self, turn: int, end: float) -> None:
        """Wait for the facts that are not decided, not longer than the condition may do without another look."""
        undecided = [fact for fact in self.facts if fact.truth() is None]
        until = end if len(undecided) == 1 else min(end, time.monotonic() + LOOK)
        # Each is the first one in its turn: nobody knows which of them will be decided at all.
        first = turn % len(undecided) if undecided else 0
        for fact in undecided[first:] + undecided[:first]:
            left = until - time.monotonic()
            with suppress(TimeoutError):
                fact.settle(None if left == math.inf else max(left, 0.0))
            if time.monotonic() >= until:
                break

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What it depends on in the end, each once, in the order of writing."""
        if not hasattr(self, "_facts"):
            found: dict[Hashable, Fact] = {}
            for node in walk(self):
                if isinstance(node, Fact):
                    found.setdefault(node.identity, node)
            self._facts = tuple(found.values())
        return self._facts

    def jobs(self) -> list[Any]:
        """The jobs that it is about, each once."""
        found = [getattr(fact, "job", None) for fact in self.facts]
        return list({job.key: job for job in found if job is not None}.values())

    def __and__(self, other: Any) -> Gate:
        return Gate((self, condition(other)), 2, "&")

    def __or__(self, other: Any) -> Gate:
        return Gate((self, condition(other)), 1, "|")

    def __invert__(self) -> Gate:
        return Gate((self,), 1, "~")

    def __rand__(self, other: Any) -> NoReturn:
        refuse(other)

    def __ror__(self, other: Any) -> NoReturn:
        refuse(other)

    def __bool__(self) -> NoReturn:
        raise ConditionMisused(
            f"{self.text()} is neither true nor false before it is decided. Combine conditions by `&`, `|` and `~` "
            "instead of `and`, `or` and `not`, or ask `.is_met()`."
        )

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            f"The condition {self.text()} cannot leave the process of its run. Give it to a call as `when=`, "
            "or pass on `.is_met()`."
        )

    def key_text(self) -> NoReturn:
        """How it would stand in a key, if it were a value."""
        raise NoKey(f"The condition {self.text()} is no value. Give it to the call as `when=`, or pass on `.is_met()`.")

    def text(self, longest: int = _LONGEST) -> str:
        """The condition as it is written, cut to so many characters."""
        found: list[str] = []
        length = 0
        stack: list[Condition | str] = [self]
        while stack and length <= longest:
            item = stack.pop()
            if isinstance(item, Condition):
                stack.extend(reversed(item.spelled()))
            else:
                found.append(item)
                length += len(item)
        whole = "".join(found)
        return whole if length <= longest else f"{whole[: longest - 1]}…"

    @property
    def binding(self) -> str:
        """The sign that holds the text together; a condition with none never stands in parentheses."""
        return ""

    @abstractmethod
    def spelled(self) -> list[Condition | str]:
        """The text in pieces; those of the parts are put in by `text`."""

    def __repr__(self) -> str:
        return self.text()


class Gate(Condition):
    """Holds when at least so many of its parts do; `~` turns that round."""

    __slots__ = ("least", "parts", "sign")

    def __init__(self, parts: tuple[Condition, ...], least: int, sign: str) -> None:
        self.parts = parts
        self.least = least
        """How many parts have to hold."""
        self.sign = sign
        """`&`, `|`, `~` or `any_of`."""

    @property
    def binding(self) -> str:
        """The sign that holds the text together."""
        return self.sign if self.sign in ("&", "|") else ""

    def verdict(self, holding: int, refuted: int) -> bool | None:
        """The gate's truth when that many of its parts hold, and that many never will."""
        if holding >= self.least:
            return self.sign != "~"
        if refuted > len(self.parts) - self.least:
            return self.sign == "~"
        return None

    def truth(self) -> bool | None:
        """Whether the condition holds; None where that is not decided yet."""
        truths: dict[int, bool | None] = {}
        for node in walk(self):
            if isinstance(node, Gate):
                below = [truths[id(part)] for part in node.parts]
                truths[id(node)] = node.verdict(below.count(True), below.count(False))
            else:
                truths[id(node)] = node.truth()
        return truths[id(self)]

    def spelled(self) -> list[Condition | str]:
        """The text in pieces."""
        if self.sign == "~":
            return ["~", *self._enclosed(self.parts[0])]
        if self.sign == "any_of":
            listed: list[Condition | str] = [item for part in self.parts for item in (", ", part)]
            return [f"any_of({self.least}", *listed, ")"]
        left, right = self.parts
        return [*self._enclosed(left), f" {self.sign} ", *self._enclosed(right)]

    def _enclosed(self, part: Condition) -> list[Condition | str]:
        return [part] if part.binding in ("", self.sign) else ["(", part, ")"]


class Fact(Condition):
    """A condition that is not made of others: something that happens, or is found to be so."""

    __slots__ = ()

    @property
    def identity(self) -> Hashable:
        """Equal for facts that are always decided alike."""
        return id(self)

    def ask(self) -> None:
        """See whether the fact has come true without anybody telling; somebody wants to know now."""

    def begin(self) -> None:
        """See to it that the fact will be decided; somebody is about to wait for it."""

    @abstractmethod
    def settle(self, timeout: float | None) -> None:
        """Block until the fact is decided.

        Parameters
        ----------
        timeout
            How long to wait [s]; None waits for ever.

        Raises
        ------
        TimeoutError
            It was not decided in time.
        """

    @abstractmethod
    def told(self) -> str:
        """What has happened, in words, once the fact is decided: `fit-3fa2… failed`."""


def any_of(k: int, /, *conditions: Condition | Iterable[Condition]) -> Gate:
    """The condition that at least `k` of the given ones hold.

    Parameters
    ----------
    k
        How many have to hold.
    conditions
        The conditions, one by one or as one list.

    Raises
    ------
    ConditionMisused
        Fewer than `k` were given, or something else than conditions.
    """
    given: list[Any] = list(conditions)
    if len(given) == 1 and not isinstance(given[0], Condition):
        try:
            given = list(given[0])
        except (TypeError, UsageError):  # a job has an `__iter__` that says it has none
            refuse(given[0])
    parts = tuple([condition(item) for item in given])
    if not parts:
        raise ConditionMisused(f"any_of({k!r:.100}) was given no conditions.")
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= len(parts):
        raise ConditionMisused(
            f"any_of({k!r:.100}, ...) of {len(parts)} conditions: ask for 1 to {len(parts)} of them."
        )
    return Gate(parts, k, "any_of")


def condition(value: Any) -> Condition:
    """A value that has to be a condition.

    Raises
    ------
    ConditionMisused
        It is none.
    """
    return value if isinstance(value, Condition) else refuse(value)


def refuse(value: Any) -> NoReturn:
    """Say that something is no condition, and how to make one of it."""
    if isinstance(value, (bool, int, float)):
        cure = 'Put comparisons in parentheses: `(job.metric("chisq") < 1.1) & other.succeeded`'
    else:
        cure = 'Of a job use `job.succeeded`, `.failed` or `.finished`, of a metric `job.metric("chisq") < 1.1`'
    raise ConditionMisused(f"{value!r:.100} is no condition. {cure}.")


def walk(root: Condition) -> list[Condition]:
    """A condition and all that it is made of, parts first, each object once.

    Notes
    -----
    Linear and without recursion: a loop may nest `held = held & job.succeeded` some 10,000 deep.
    """
    order: list[Condition] = []
    seen: set[int] = set()
    stack: list[tuple[Condition, bool]] = [(root, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((part, False) for part in reversed(node.parts))
    return order


def short(key: str) -> str:
    """A key for people: the task's name, and the first digits of the digest."""
    name, dash, digest = key.rpartition("-")
    ends = [(name, _SHOWN_NAME), (digest, _SHOWN_DIGITS if dash else _SHOWN_NAME)]
    return dash.join([text if len(text) <= most else f"{text[:most]}…" for text, most in ends if text])
