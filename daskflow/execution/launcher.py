"""Starts runs of flows, and keeps the run of a session: the one for jobs that no flow made."""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import os
import pathlib
import pickle
import re
import secrets
import socket
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from daskflow.artifacts.contents.digests import FileDigests, seal_path
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import NotInTask, SettingsInvalid, StoreError
from daskflow.execution.engine import Engine
from daskflow.execution.insight.arguments import signed_arguments
from daskflow.execution.insight.preview import Preview, preview
from daskflow.execution.project import Project
from daskflow.execution.run import Run
from daskflow.execution.worker.attempt import CURRENT_ATTEMPT
from daskflow.execution.worker.perform import store_here
from daskflow.graph.encoding import Encoder, digest
from daskflow.graph.flow import Flow
from daskflow.graph.gate import Awaited, Gatekeeper
from daskflow.graph.host import CURRENT_HOST, CURRENT_SITE
from daskflow.graph.job import Job
from daskflow.graph.sequel import Later
from daskflow.graph.task import code_text
from daskflow.model.records import RunRecord
from daskflow.model.states import RunState

_SHOWN = 200


class Order(NamedTuple):
    """What else may be said of a run that is to start."""

    site: str | None = None
    """Default site, before that of the flow and of the project."""
    target: str | None = None
    """How the flow is found again; None: looked for."""
    on_start: Callable[[Run], None] = lambda run: None
    """Gets the run before its body is executed, for those who watch it from another thread."""


_NOTHING_SAID = Order()


class Launcher:
    """Starts runs in one project, which is opened when first needed.

    Parameters
    ----------
    open_project
        Makes the project.

    Notes
    -----
    Safe for threads. Sites stay open between runs, until the process ends or `close` is called.
    """

    def __init__(self, open_project: Callable[[], Project]) -> None:
        self.watch: Callable[[Run], None] | None = None
        """Gets each run that keeps its caller waiting, before it begins: a notebook shows what it asks."""
        self._open_project = open_project
        self._project: Project | None = None
        self._session: Engine | None = None
        self._gatekeeper = Gatekeeper(self)
        self._runs: weakref.WeakValueDictionary[str, Run] = weakref.WeakValueDictionary()
        self._lock = threading.RLock()

    def project(self) -> Project:
        """The project; opened now if it was not.

        Raises
        ------
        NotInTask
            A task is being performed here: workers neither start runs nor touch what is remembered.
        """
        attempt = CURRENT_ATTEMPT.get()
        if attempt is not None:
            raise NotInTask(
                f"{attempt.key} asks for a run of its own: inside a task no flow can be started, and no other task's "
                "job performed. Call the plain function there: `NAME.function(...)`."
            )
        with self._lock:
            if self._project is None:
                self._project = self._open_project()
                atexit.register(self.close)
            return self._project

    def store(self) -> ObjectStore:
        """The store of files and large results; on a worker that of the run whose jobs it performs."""
        performed = store_here()
        if performed is not None and (self._project is None or CURRENT_ATTEMPT.get() is not None):
            return performed
        project = self.project()
        assert project.values.store is not None
        project.claim()
        return project.values.store

    def known_digests(self) -> FileDigests | None:
        """Digests of files, of which the journal knows those that did not change; None in a task, which sees none."""
        return None if CURRENT_ATTEMPT.get() is not None else self.project().file_digest

    def file_digest(self, path: pathlib.Path) -> str:
        """Digest of the content of a file or directory."""
        if CURRENT_ATTEMPT.get() is not None:
            # The call was made in a task, and is made anew in the driver: there the content counts.
            return digest(str(path))
        return self.project().file_digest(path)

    def file_seal(self, path: pathlib.Path) -> str:
        """What changes when a file, or one in a directory, is written."""
        return seal_path(path)

    def start(
        self, flow: Flow[Any, Any], arguments: Mapping[str, Any], *, background: bool, order: Order = _NOTHING_SAID
    ) -> Any:
        """Run a flow; in the background, or in this thread until it has ended. Gives its run.

        In a task nothing is started in the background: what the task returns is, by its own run.

        Raises
        ------
        SiteUnknown
            No site of the ordered name is configured; nothing was recorded.
        """
        if background and CURRENT_ATTEMPT.get() is not None:
            return Later(flow, arguments)
        project = self.project()
        host = CURRENT_HOST.get()
        if host is not None:
            return cast(Run, host.start(flow, arguments, self))
        site = project.site(order.site or CURRENT_SITE.get() or flow.site or project.default_site).name
        project.start_notifier()
        target = target_of(flow) if order.target is None else order.target
        record = _record(flow.name, target, arguments, _payload(arguments, target, project), site)
        project.journal.add_run(record)
        return self._launch(flow, record, arguments, order.on_start, background=background)

    def enter(self, flow: Flow[Any, Any], arguments: Mapping[str, Any], order: Order) -> RunRecord:
        """Record a run that another process is to begin.

        Raises
        ------
        SiteUnknown
            No site of the ordered name is configured; nothing was recorded.
        """
        project = self.project()
        site = project.site(order.site or flow.site or project.default_site).name
        target = target_of(flow) if order.target is None else order.target
        made = _record(flow.name, target, arguments, _payload(arguments, target, project), site)
        waiting = {"state": RunState.created, "started": None, "heartbeat": None, "host": "", "pid": 0}
        record = made.model_copy(update=waiting)
        project.journal.add_run(record)
        return record

    def start_below(self, parent: Engine, flow: Flow[Any, Any], arguments: Mapping[str, Any], ordinal: int) -> Run:
        """Run a flow beside the one that starts it; where that one is resumed, so is this.

        Parameters
        ----------
        ordinal
            Counts the runs that the parent started.
        """
        project = self.project()
        site = project.site(CURRENT_SITE.get() or flow.site or parent.site).name
        target = target_of(flow)
        payload = _payload(arguments, target, project)
        known = parent.former(flow.name, payload)
        if known is not None:
            return self.resume(flow, known, arguments, background=True)
        record = _record(flow.name, target, arguments, payload, site)
        record = record.model_copy(update={"parent": parent.id, "ordinal": ordinal})
        project.journal.add_run(record)
        return self._launch(flow, record, arguments, _NOTHING_SAID.on_start, background=True)

    def _launch(
        self,
        flow: Flow[Any, Any],
        record: RunRecord,
        arguments: Mapping[str, Any],
        on_start: Callable[[Run], None],
        *,
        background: bool,
    ) -> Run:
        text = functools.cache(lambda: self._text(flow, arguments))
        run = Run(
            self.project(),
            record,
            lambda: flow.body(arguments),
            awaited=lambda run: self._gatekeeper(Awaited(run, text())),
            launcher=self,
        )
        self._runs[run.id] = run
        if self.watch is not None and not background:
            self.watch(run)
        return _launch(run, on_start, background=background)

    def _text(self, flow: Flow[Any, Any], arguments: Mapping[str, Any]) -> str:
        """The flow and its arguments, as they stand in keys."""
        encoder = Encoder(code_text, self.file_digest)
        return digest(f"{code_text(flow.function)} {encoder.encode(dict(arguments))}")

    def resume(
        self,
        flow: Flow[Any, Any],
        record: RunRecord,
        arguments: Mapping[str, Any],
        *,
        background: bool,
        order: Order = _NOTHING_SAID,
    ) -> Run:
        """Go on with a recorded run; what it finished is not done again. Of the order only `on_start` counts.

        Raises
        ------
        RunBusy
            Its driver lives, here or elsewhere, or somebody has begun it again since it was looked at.
        """
        project = self.project()
        project.start_notifier()
        mine = self._runs.get(record.id)
        idle = mine is None or mine.ended
        record = project.journal.claim_run(
            record.id, time=time.time(), host=socket.gethostname(), pid=os.getpid(), idle=idle, seen=record
        )
        return self._launch(flow, record, arguments, order.on_start, background=background)

    def plan(self, flow: Flow[Any, Any], arguments: Mapping[str, Any]) -> Preview:
        """What a flow would do."""
        project = self.project()
        return preview(project, flow, arguments, flow.site or project.default_site)

    def adopt(self, job: Job) -> Engine:
        """Give a job that belongs to no run to the one kept for such jobs."""
        with self._lock:
            project = self.project()
            if self._session is not None and self._session.failure is not None:
                self._end_session(project)
            if self._session is None:
                project.start_notifier()
                record = _record("session", "", {}, None, project.default_site)
                project.journal.add_run(record)
                self._session = Engine(project, record.id, record.site, self)
            session = self._session
        # Without the lock: who starts a run holds that of the session first.
        session.admit(job)
        return session

    def close(self) -> None:
        """End the session's run, close all sites and the store."""
        with self._lock:
            project, self._project = self._project, None
            atexit.unregister(self.close)
            if project is None:
                return
            self._end_session(project)
        project.close()

    def _end_session(self, project: Project) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        error = session.failure
        # What is left is written where the store is there; one that is away, or hangs, is waited for no more.
        session.hurried.set()
        session.stop()
        # What a full disk kept from being written is no reason not to go on, or not to close the rest.
        with contextlib.suppress(StoreError):
            session.close()
        if project.hangs:
            return
        with contextlib.suppress(StoreError):
            state = RunState.succeeded if error is None else RunState.interrupted
            project.journal.update_run(session.id, state=state, stopped=time.time(), error=str(error or ""))


def _launch(run: Run, on_start: Callable[[Run], None], *, background: bool) -> Run:
    on_start(run)
    if background:
        threading.Thread(target=_quietly, args=(run,), name=f"daskflow-run-{run.id}", daemon=True).start()
    else:
        run.execute()
    return run


def _quietly(run: Run) -> None:
    # The error is kept for `run.result()`.
    with contextlib.suppress(KeyboardInterrupt):
        run.execute()


def _record(flow: str, target: str, arguments: Mapping[str, Any], payload: bytes | None, site: str) -> RunRecord:
    now = time.time()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    return RunRecord(
        # The id names a directory of logs as well.
        id=f"{stamp}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', flow)}-{secrets.token_hex(3)}",
        flow=flow,
        target=target,
        arguments={name: _shown(value) for name, value in arguments.items()},
        payload=payload,
        state=RunState.running,
        site=site,
        created=now,
        started=now,
        heartbeat=now,
        host=socket.gethostname(),
        pid=os.getpid(),
    )


def target_of(flow: Flow[Any, Any]) -> str:
    """Where `daskflow resume` finds a flow: `path/to/file.py:flow` or `module:flow`; empty where it cannot be found."""
    name = flow.function.__qualname__
    if "<" in name:
        return ""
    file = flow.function.__code__.co_filename
    if flow.__module__ == "__main__":
        return f"{os.path.abspath(file)}:{name}" if os.path.exists(file) and file.endswith(".py") else ""
    with contextlib.suppress(ImportError, ValueError):
        if importlib.util.find_spec(flow.__module__) is not None:
            return f"{flow.__module__}:{name}"
    return f"{os.path.abspath(file)}:{name}" if os.path.exists(file) else ""


def _payload(arguments: Mapping[str, Any], target: str, project: Project) -> bytes | None:
    try:
        return signed_arguments(pickle.dumps(dict(arguments), protocol=5), target, project.values.signer)
    except SettingsInvalid:  # of the signing key
        raise
    except Exception:  # a run whose arguments do not pickle can be started again, but not resumed by its id
        return None


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
