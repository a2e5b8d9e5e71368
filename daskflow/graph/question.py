"""Questions that a run asks people; an answer is typed."""

from __future__ import annotations

import functools
import json
from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError

from daskflow.errors import AnswerRefused, ArgumentsInvalid, UsageError
from daskflow.graph.conditions import Condition
from daskflow.graph.encoding import digest
from daskflow.graph.host import CURRENT_HOST, Launcher
from daskflow.graph.job import Job
from daskflow.graph.verdict import Verdict, plain_policy
from daskflow.model.mistakes import mistakes_in
from daskflow.model.quantities import seconds

OnTimeout = Literal["fail", "default"]


class Inquiry(NamedTuple):
    """What is asked."""

    prompt: str
    schema: Any
    """The type of an answer; None: there is nothing to say, but that the run may go on."""
    preset: str | None
    """The answer that is proposed, as JSON."""
    timeout: float | None
    """How long the question stays open [s]."""
    on_timeout: OnTimeout
    release: bool
    """Whether idle workers may go meanwhile."""
    occasion: str
    """Which of several equal questions of the run it is."""

    def key_text(self) -> str:
        """How the question stands in the key of its job."""
        return f"ask({digest(self.prompt)},{digest(_sorted(self.form))},{self.occasion})"

    @property
    def form(self) -> str:
        """JSON schema of an answer; empty where there is nothing to say."""
        return "" if self.schema is None else json.dumps(_adapter(self.schema).json_schema())

    def read(self, answer: str) -> Any:
        """The value of an answer.

        Raises
        ------
        AnswerRefused
            It does not fit; the message says where.
        """
        if self.schema is None:
            return None
        try:
            return _adapter(self.schema).validate_json(answer)
        except ValidationError as error:
            raise AnswerRefused(f"The answer {answer:.200} does not fit: {_told(error, _parsed(answer))}.") from None


def _told(error: ValidationError, given: Any) -> str:
    return "; ".join(map(str, mistakes_in(error, given)))


def _parsed(answer: str) -> Any:
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        return None


def _sorted(form: str) -> str:
    """The schema with its keys in one order: people see the fields in that of the model."""
    return json.dumps(json.loads(form), sort_keys=True) if form else ""


def _unasked(matter: Inquiry) -> Any:
    raise UsageError(f"Only a run can ask: {matter.prompt!r}.")


class Asker(Verdict):
    """Asks people: `ask(prompt, schema=...)` waits for the answer, `ask.job(...)` is a job that has it."""

    def __init__(self, launcher: Launcher) -> None:
        super().__init__(_unasked, plain_policy("ask", cache="run"), launcher)

    def __call__(self, prompt: str, /, **about: Any) -> Any:
        """Ask, and wait for the answer. A run that is resumed has the answers that it got before.

        Parameters
        ----------
        prompt
            The question.
        schema
            What an answer is: a pydantic model, `Literal["a", "b"]`, `bool`, or any other type that pydantic knows;
            None asks for nothing but that somebody lets the run go on.
        default
            The answer that is proposed.
        timeout
            How long the question stays open [s]; text such as `"2 h"` is read. None: for ever.
        on_timeout
            `"fail"` raises `QuestionExpired`, `"default"` takes the default.
        release
            Let idle workers go while nobody answers.

        Raises
        ------
        ArgumentsInvalid
            The default does not fit the schema, or pydantic knows no such schema.
        JobFailed
            Nobody answered in time (caused by `QuestionExpired`).
        """
        return self.job(prompt, **about).result()

    def job(  # noqa: PLR0913, each says something else of one question
        self,
        prompt: str,
        /,
        *,
        schema: Any = None,
        default: Any = None,
        timeout: float | str | None = None,
        on_timeout: OnTimeout = "fail",
        release: bool = False,
        when: Condition | None = None,
    ) -> Job:
        """The same as a job: it is asked when its condition holds, and its result is the answer."""
        host = CURRENT_HOST.get()
        preset = _preset(schema, default)
        if on_timeout not in ("fail", "default"):
            raise ArgumentsInvalid(f"ask(on_timeout={on_timeout!r}): it is 'fail' or 'default'.")
        if on_timeout == "default" and preset is None and schema is not None:
            raise ArgumentsInvalid("ask(on_timeout='default') needs a default.")
        patience = None if timeout is None else seconds(timeout)
        asked = Inquiry(str(prompt), schema, preset, patience, on_timeout, release, "")
        occasion = "" if host is None else host.occasion(asked.key_text())
        return super().__call__(asked._replace(occasion=occasion), when=when)


def _preset(schema: Any, default: Any) -> str | None:
    if schema is None:
        return None
    try:
        adapter = _adapter(schema)
        adapter.json_schema()
        if default is None:
            return None
        value = adapter.validate_python(default)
        return adapter.dump_json(value).decode()
    except ValidationError as error:
        raise ArgumentsInvalid(
            f"ask(default={default!r:.100}) does not fit its schema: {_told(error, default)}."
        ) from None
    except Exception as error:
        raise ArgumentsInvalid(f"ask(schema={schema!r:.100}): pydantic cannot ask for that: {error}") from None


@functools.lru_cache(maxsize=256)
def _adapter(schema: Any) -> TypeAdapter[Any]:
    return TypeAdapter(schema)
