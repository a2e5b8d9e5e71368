"""Starts runs of flows, and keeps the run of a session: the one for jobs that no flow made."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import pathlib
import pickle
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from daskflow.errors import NotInTask, StoreError
from daskflow.execution.attempt import CURRENT_ATTEMPT
from daskflow.execution.engine import Engine
from daskflow.execution.preview import Preview, preview
from daskflow.execution.project import Project
from daskflow.execution.run import Run
from daskflow.graph.flow import Flow
from daskflow.graph.job import Job
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
        self._open_project = open_project
        self._project: Project | None = None
        self._session: Engine | None = None
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

    def file_digest(self, path: pathlib.Path) -> str:
        """Digest of the content of a file or directory."""
        return self.project().file_digest(path)

    def start(
        self, flow: Flow[Any, Any], arguments: Mapping[str, Any], *, background: bool, order: Order = _NOTHING_SAID
    ) -> Run:
        """Run a flow; in the background, or in this thread until it has ended.

        Raises
        ------
        SiteUnknown
            No site of the ordered name is configured; nothing was recorded.
        """
        project = self.project()
        site = project.site(order.site or flow.site or project.default_site).name
        target = target_of(flow) if order.target is None else order.target
        record = _record(flow.name, target, arguments, _payload(arguments), site)
        project.journal.add_run(record)
        return _launch(Run(project, record, lambda: flow.body(arguments)), order.on_start, background=background)

    def resume(
        self,
        flow: Flow[Any, Any],
        record: RunRecord,
        arguments: Mapping[str, Any],
        *,
        background: bool,
        order: Order = _NOTHING_SAID,
    ) -> Run:
        """Go on with a recorded run; what it finished is not done again. Of the order only `on_start` counts."""
        project = self.project()
        now = time.time()
        record = project.journal.update_run(
            record.id,
            state=RunState.running,
            started=now,
            heartbeat=now,
            stopped=None,
            error="",
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        return _launch(Run(project, record, lambda: flow.body(arguments)), order.on_start, background=background)

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
                record = _record("session", "", {}, None, project.default_site)
                project.journal.add_run(record)
                self._session = Engine(project, record.id, record.site)
            self._session.admit(job)
            return self._session

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
        session.stop()
        # What a full disk kept from being written is no reason not to go on, or not to close the rest.
        with contextlib.suppress(StoreError):
            session.close()
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


def _payload(arguments: Mapping[str, Any]) -> bytes | None:
    try:
        return pickle.dumps(dict(arguments), protocol=5)
    except Exception:  # a run whose arguments do not pickle can be started again, but not resumed by its id
        return None


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
