"""Jobs that no site performs: the run itself decides what becomes of them."""

from __future__ import annotations

from typing import Any, Literal

from daskflow.graph.task import Task
from daskflow.graph.template import Template
from daskflow.model.policy import Policy, Resources


class Verdict(Task[Any, Any]):
    """A task whose jobs the run performs itself: a race, a question, the value of another run.

    Notes
    -----
    What such a job is about stands in its first argument, which counts in keys by its `key_text`.
    """

    def __init__(self, function: Any, policy: Policy, launcher: Any) -> None:
        super().__init__(function, policy, launcher)
        if launcher is not None:
            _PRESENT[type(self)] = self

    def __reduce__(self) -> Any:
        return _present, (type(self),)

    def _describe(self, name: str, value: Any, template: Template) -> tuple[str, Any]:
        text = getattr(value, "key_text", None)
        if name == "matter" and text is not None:
            return str(text()), value
        return super()._describe(name, value, template)


_PRESENT: dict[type, Any] = {}
"""The latest of each kind that has a launcher: what stands for it where a flow that uses it comes by value."""


def _present(kind: Any) -> Any:
    return _PRESENT.get(kind) or kind(None)


def plain_policy(name: str, *, cache: Literal[True, False, "run"]) -> Policy:
    """The policy of such a task; not validated, since these tasks are made when daskflow is imported."""
    resources = Resources.model_construct()
    return Policy.model_construct(name=name, cache=cache, version="1", resources=resources)
