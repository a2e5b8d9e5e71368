"""Decides a condition step by step, as its facts become known."""

from __future__ import annotations

import itertools
from collections.abc import Hashable

from daskflow.graph.conditions import Condition, Fact, Gate, walk

_NAMED = 3
_LONGEST = 90


class Decision:
    """What is known of one condition.

    Notes
    -----
    Each edge between a part and its gate is gone along at most once, however many facts are noted and in whatever
    order: all notes together are linear in the size of the condition. Not safe for threads.
    """

    __slots__ = ("_above", "_causes", "_holding", "_nodes", "_places", "_refuted", "_truths", "condition", "steps")

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.steps = 0
        """How many edges were gone along so far."""
        self._places: dict[Hashable, int] = {}
        self._nodes: list[Condition] = []
        self._above: list[list[int]] = []
        self._build()
        count = len(self._nodes)
        self._holding = [0] * count
        self._refuted = [0] * count
        self._causes = [-1] * count
        self._truths: list[bool | None] = [None] * count
        for fact in condition.facts:
            self.note(fact)

    def _build(self) -> None:
        """Number the nodes, parts first; facts that are decided alike are one node."""
        for node in walk(self.condition):
            name = _name(node)
            if name in self._places:
                continue
            place = self._places[name] = len(self._nodes)
            self._nodes.append(node)
            self._above.append([])
            for part in node.parts:
                self._above[self._places[_name(part)]].append(place)

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What the condition depends on, each fact once."""
        return self.condition.facts

    @property
    def truth(self) -> bool | None:
        """Whether the condition holds; None where that is not decided yet. What is decided stays so."""
        return self._truths[-1]

    def note(self, fact: Fact) -> bool | None:
        """Look at a fact again, and at what follows from it; returns whether the condition holds now."""
        place = self._places.get(fact.identity)
        if place is not None and self._truths[place] is None and self.truth is None:
            truth = fact.truth()
            if truth is not None:
                self._truths[place] = truth
                self._spread(place)
        return self.truth

    def _spread(self, first: int) -> None:
        stack = [first]
        while stack:
            place = stack.pop()
            for above in self._above[place]:
                self.steps += 1
                if self._truths[above] is None and self._count(above, place) is not None:
                    stack.append(above)

    def _count(self, gate: int, part: int) -> bool | None:
        """A part of a gate is decided: count it, and see whether that decides the gate."""
        (self._holding if self._truths[part] else self._refuted)[gate] += 1
        node = self._nodes[gate]
        if isinstance(node, Gate):
            self._truths[gate] = node.verdict(self._holding[gate], self._refuted[gate])
            self._causes[gate] = part
        return self._truths[gate]

    def why(self) -> str:
        """Why the condition can never hold, or what it waits for: a clause for people, some 200 characters at most."""
        if self.truth is None:
            return self._missing()
        if self.truth:
            return f"{self.condition.text(_LONGEST)} holds"
        place = refuted = len(self._nodes) - 1
        while self._causes[place] >= 0:
            place = self._causes[place]
            refuted = refuted if self._truths[place] else place
        fact = self._nodes[place]
        told = fact.told() if isinstance(fact, Fact) else ""
        return f"{_cut(told)}, so {self._nodes[refuted].text(_LONGEST)} can never hold"

    def _missing(self) -> str:
        """What may still decide the condition: not the facts below gates that are decided."""
        found: list[Condition] = []
        seen = {len(self._nodes) - 1}
        stack = [self.condition]
        while stack:
            node = stack.pop()
            if isinstance(node, Fact):
                found.append(node)
            for part in reversed(node.parts):
                place = self._places[_name(part)]
                if self._truths[place] is None and place not in seen:
                    seen.add(place)
                    stack.append(part)
        shown = [fact.text(_LONGEST // 2) for fact in itertools.islice(found, _NAMED)]
        more = len(found) - len(shown)
        return f"waits for {', '.join(shown)}" + (f" and {more} more" if more else "")


def _name(node: Condition) -> Hashable:
    return node.identity if isinstance(node, Fact) else id(node)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
