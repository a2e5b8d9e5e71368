"""The context of a run: state that its stages share, with the history of each value."""

from __future__ import annotations

import html
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn, Self

from pydantic import BaseModel

from daskflow.artifacts.values import Values
from daskflow.errors import ContextRefused, NoKey, NotFound, NotInTask, UsageError
from daskflow.execution.context.changes import Change, Draft, Ledger, packed, unpacked
from daskflow.execution.context.shapes import Shape
from daskflow.execution.context.snapshot import UNSET, Patch, Snapshot, missing
from daskflow.execution.project import Project
from daskflow.execution.worker.attempt import CURRENT_ATTEMPT
from daskflow.graph.host import CURRENT_HOST, Host
from daskflow.model.records import ContextRecord

_SHOWN, _WIDTH = 50, 80
_DRAFTS: weakref.WeakKeyDictionary[Host, Draft] = weakref.WeakKeyDictionary()
"""What flows add that are only planned."""


class Context:
    """State that the stages of a run share. `Context.load()` gives it, in a flow and in all that it starts.

    Notes
    -----
    Safe for threads and processes: each change is one transaction, and none is lost. Runs that a flow starts share the
    context of the one at the top. A resumed run begins with an empty context and fills it again, so its tasks see what
    they saw before; what it changes in the same way is in the history once. Values that are looked up are copies.

    Examples
    --------
    >>> ctx = Context(Draft(), Values(None), "run", epoch=0.0)
    >>> ctx.add("scores", {"spw0": 0.9}, stage="import")
    >>> ctx.add("scores", {"spw1": 0.4}, stage="import")
    >>> ctx["scores"], ctx.stages(), len(ctx.history("scores"))
    ({'spw0': 0.9, 'spw1': 0.4}, ['import'], 2)
    """

    open_project: ClassVar[Callable[[], Project] | None] = None
    """Where runs are looked for that are named; the settings fill it in."""

    def __init__(
        self,
        ledger: Ledger,
        values: Values,
        run: str,
        *,
        epoch: float,
        since: float | None = None,
        template: type[BaseModel] | None = None,
    ) -> None:
        self.run = run
        """Id of the run at the top of the tree, whose context it is."""
        self._ledger = ledger
        self._values = values
        self._epoch = epoch
        self._since = epoch if since is None else since
        self._shape = Shape(template)

    @classmethod
    def load(cls, run: str | None = None, *, template: type[BaseModel] | None = None) -> Self:
        """The context of the run whose flow is being executed here, or of a named one.

        Parameters
        ----------
        run
            As `daskflow show` takes it.
        template
            A pydantic model: its fields are the names that may be added, with their types, and its defaults hold where
            nothing was added.

        Raises
        ------
        NotInTask
            A task is being performed here: it may have a snapshot.
        UsageError
            No flow is being executed here, and no run is named.
        NotFound
            No such run.
        """
        attempt = CURRENT_ATTEMPT.get()
        if attempt is not None:
            raise NotInTask(
                f"{attempt.key} asks for the context, which changes while tasks are performed. "
                "Give the task `ctx.snapshot()` as an argument, and let it return `snapshot.patch(...)`."
            )
        if run is not None:
            return cls._named(run, template)
        host = CURRENT_HOST.get()
        if host is None:
            raise UsageError("No flow is executed here. Name a run: `Context.load(run='last')`.")
        project: Project | None = getattr(host, "project", None)
        if project is None:  # the flow is only planned
            draft = _DRAFTS.setdefault(host, Draft())
            return cls(draft, Values(None), host.id, epoch=0.0, template=template)
        return cls._of(project, host.id, template)

    @classmethod
    def _named(cls, run: str, template: type[BaseModel] | None) -> Self:
        if cls.open_project is None:
            raise UsageError("Runs are found by their names with `from daskflow import Context` only.")
        project = cls.open_project()
        return cls._of(project, project.journal.run(run).id, template)

    @classmethod
    def _of(cls, project: Project, run: str, template: type[BaseModel] | None) -> Self:
        journal = project.journal
        top, own = journal.run(journal.root(run)), journal.run(run)
        return cls(
            journal,
            project.values,
            top.id,
            epoch=top.started or top.created,
            since=own.started or own.created,
            template=template,
        )

    def add(self, name: str, value: Any, *, stage: str = "", exclusive: bool = False) -> None:
        """Add a value; a dictionary is merged with the one of the same name and stage, anything else takes its place.

        Parameters
        ----------
        stage
            Which part of the flow it comes from.
        exclusive
            Refuse it where the stage has a value of that name already.

        Raises
        ------
        ContextRefused
            The template has no such field, or another type for it; or it is not the only one.
        NotSerialisable
            The value has no form outside this process.
        """
        self._change({name: value}, stage, lambda latest, new: self._refuse_second(latest, new, exclusive=exclusive))

    def apply(self, patch: Patch, *, force: bool = False) -> None:
        """Make the changes that a task proposed, all or none of them.

        Parameters
        ----------
        force
            Also where a value is not what the task had seen.

        Raises
        ------
        ContextRefused
            A value was changed since the snapshot was taken; the message names it.
        """
        if not isinstance(patch, Patch):
            raise UsageError(
                f"A {type(patch).__name__} is no patch. Give the result of a job: `ctx.apply(job.result())`."
            )
        check = _pass if force else lambda latest, new: _refuse_outdated(patch, latest, new)
        self._change(patch.values, patch.stage, check)

    def _change(self, changes: Mapping[str, Any], stage: str, check: Callable[[Any, ContextRecord], None]) -> None:
        """Make changes from what is there now, until nobody else was faster."""
        while True:
            made: list[Change] = []
            for name, value in changes.items():
                latest = self._latest(name, stage)
                new = self._next(name, value, stage, latest)
                check(latest, new)
                if latest is None or latest.content != new.content:
                    made.append((0 if latest is None else latest.version, new))
            if not made or self._ledger.add_context(made):
                return

    def _next(self, name: str, value: Any, stage: str, latest: ContextRecord | None) -> ContextRecord:
        if type(value) is dict and latest is not None:
            before = unpacked(latest, self._values)
            value = {**before, **value} if type(before) is dict else value
        record = ContextRecord(run=self.run, name=name, stage=stage, epoch=self._epoch, time=time.time())
        return packed(record, self._shape.checked(name, value), self._values)

    def _refuse_second(self, latest: ContextRecord | None, new: ContextRecord, *, exclusive: bool) -> None:
        # What an earlier execution of this run added, it may add again.
        if exclusive and latest is not None and (latest.content != new.content or latest.time >= self._since):
            raise ContextRefused(
                f"The context has {new.name!r} of the stage {new.stage!r} already. Choose another name or stage, or "
                "leave `exclusive` out."
            )

    def _latest(self, name: str, stage: str | None) -> ContextRecord | None:
        return self._ledger.context_latest(self.run, name, stage=stage, epoch=self._epoch)

    def __getitem__(self, name: str) -> Any:
        """The latest value of any stage, or the default of the template.

        Raises
        ------
        NotFound
            There is none of that name; the message lists those that are.
        """
        found = self.get(name, UNSET)
        if found is UNSET:
            raise NotFound(missing(name, self.names()))
        return found

    def get(self, name: str, default: Any = None, *, stage: str | None = None) -> Any:
        """The latest value of one stage, or of any; the default of the template, or this one, where there is none."""
        record = self._latest(name, stage)
        return self._shape.defaults().get(name, default) if record is None else unpacked(record, self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._shape.defaults() or name in self.names()

    def stages(self) -> list[str]:
        """The stages that added something, in the order in which they began to."""
        return list(dict.fromkeys(stage for _, stage in self._ledger.context_places(self.run, self._epoch)))

    def names(self, stage: str | None = None) -> list[str]:
        """The names that were added, by one stage or by any, in the order in which they first were."""
        places = self._ledger.context_places(self.run, self._epoch)
        return list(dict.fromkeys(name for name, its in places if stage in (None, its)))

    def history(self, name: str, stage: str | None = None, *, earlier: bool = False) -> list[ContextRecord]:
        """All versions of a value with stage, time and value, in the order of the changes.

        Parameters
        ----------
        earlier
            With those that only earlier executions of the run made.
        """
        epoch = None if earlier else self._epoch
        found = self._ledger.context_history(self.run, name, stage=stage, epoch=epoch)
        return [record.model_copy(update={"value": unpacked(record, self._values)}) for record in found]

    def snapshot(self) -> Snapshot:
        """What the context holds now, to be given to tasks."""
        defaults = [
            packed(ContextRecord(run=self.run, name=name), value, self._values)
            for name, value in self._shape.defaults().items()
        ]
        return Snapshot(self._ledger.context_now(self.run, self._epoch), self._values, defaults)

    def key_text(self) -> NoReturn:
        """A context changes, so it has no key.

        Raises
        ------
        NoKey
        """
        raise NoKey("The context of a run is no argument of a task, since it changes. Pass `ctx.snapshot()`.")

    def __reduce__(self) -> NoReturn:
        raise NoKey("The context of a run does not leave its process. Pass `ctx.snapshot()` to tasks.")

    def __deepcopy__(self, memo: object) -> Self:
        # Jobs copy their arguments before they ask for a key, and that error is the one to be seen.
        return self

    def __repr__(self) -> str:
        return f"<Context of {self.run}: {', '.join(self.names()) or 'empty'}>"

    def _repr_html_(self) -> str:
        records = self._ledger.context_now(self.run, self._epoch)
        rows = "".join(
            f"<tr><td>{html.escape(record.name)}</td><td>{html.escape(record.stage)}</td><td>{record.version}</td>"
            f"<td>{html.escape(_told(record))}</td></tr>"
            for record in records[:_SHOWN]
        )
        more = f"<p>and {len(records) - _SHOWN} more</p>" if len(records) > _SHOWN else ""
        head = "".join(f"<th>{name}</th>" for name in ("name", "stage", "version", "value"))
        return f"context of <code>{html.escape(self.run)}</code><table><tr>{head}</tr>{rows}</table>{more}"


def _pass(latest: ContextRecord | None, new: ContextRecord) -> None:
    pass


def _refuse_outdated(patch: Patch, latest: ContextRecord | None, new: ContextRecord) -> None:
    now = "" if latest is None else latest.content
    if now not in (patch.base[new.name], new.content):
        raise ContextRefused(
            f"{new.name!r} of the stage {new.stage!r} was changed since the snapshot was taken. Take a new snapshot, "
            "or apply the patch by force: `ctx.apply(patch, force=True)`."
        )


def _told(record: ContextRecord) -> str:
    # Behind the name of a format may stand who signed it.
    text = f"{record.format.partition('#')[0]}, {record.size} bytes" if record.format else repr(record.value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."
