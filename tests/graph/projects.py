"""Small projects of a user, as real files, and what their code is fingerprinted to."""

from __future__ import annotations

import importlib
import os
import pathlib
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from daskflow.errors import FileMissing
from daskflow.graph.fingerprint import Fingerprint, fingerprint
from daskflow.graph.host import Host
from daskflow.graph.task import Task, declare

PRINT = """
from daskflow.graph.fingerprint import fingerprint
print(fingerprint({name}).id)
"""


class Project:
    """A directory with modules that are imported anew each time."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.names: set[str] = set()

    def write(self, files: Mapping[str, str]) -> Project:
        for name, text in files.items():
            file = self.directory / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text), encoding="utf-8")
            self.names.add(pathlib.PurePath(name).parts[0].removesuffix(".py"))
        return self

    def load(self, name: str = "flows") -> ModuleType:
        """Import a module as a new process would."""
        self.forget()
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        sys.path.insert(0, str(self.directory))
        importlib.invalidate_caches()
        try:
            return importlib.import_module(name)
        finally:
            sys.dont_write_bytecode = writes

    def forget(self) -> None:
        while str(self.directory) in sys.path:
            sys.path.remove(str(self.directory))
        for name in [name for name in sys.modules if name.partition(".")[0] in self.names]:
            del sys.modules[name]

    def fingerprint(self, function: str = "f", module: str = "flows") -> Fingerprint:
        found: Any = self.load(module)
        for part in function.split("."):
            found = getattr(found, part)
        # It imports what is imported only within functions: files of one second and one size must not leave bytecode.
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            return fingerprint(found)
        finally:
            sys.dont_write_bytecode = writes

    def run(self, *arguments: str, **environment: str) -> str:
        """Run Python in the project's directory and return what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.directory,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


class FakeLauncher:
    """Digests files; runs nothing."""

    def __init__(self) -> None:
        self.started: list[tuple[Any, dict[str, Any], bool]] = []

    def start(self, flow: Any, arguments: Mapping[str, Any], *, background: bool) -> Any:
        self.started.append((flow, dict(arguments), background))
        return self

    def result(self) -> Any:
        flow, arguments, _ = self.started[-1]
        return flow.body(arguments)

    def adopt(self, job: Any) -> Host:
        raise NotImplementedError

    def file_seal(self, path: pathlib.Path) -> str:
        return "seal"

    def file_digest(self, path: pathlib.Path) -> str:
        if not path.exists():
            raise FileMissing(f"{path} is not there.")
        return path.read_text(encoding="utf-8")

    def plan(self, flow: Any, arguments: Mapping[str, Any]) -> Any:
        return self.start(flow, arguments, background=False)

    def drawing(self) -> str:
        return "a picture"


class FakeHost:
    """A run that admits all jobs and performs none."""

    def __init__(self, id: str = "run-1") -> None:
        self.id = id
        self.launcher = None
        self.jobs: dict[str, Any] = {}
        self._occasions = 0

    def admit(self, job: Any) -> Any:
        return self.jobs.setdefault(job.key, job)

    def draft(self, draft: Any) -> None:
        return None

    def occasion(self, recipe: str) -> str:
        self._occasions += 1
        return str(self._occasions)

    def wait(self, job: Any, timeout: float | None) -> None:
        return None

    def watch(self, fact: Any) -> None:
        return None

    def cancel(self, jobs: Any, reason: str) -> None:
        return None

    def start(self, flow: Any, arguments: Any, launcher: Any) -> Any:
        return None

    def value(self, job: Any) -> Any:
        return job.task.call(job.arguments)

    def outcome(self, job: Any) -> Any:
        return None

    def log(self, job: Any) -> str:
        return "said"


def task(function: Callable[..., Any], **policies: Any) -> Task[Any, Any]:
    """A task of the tests."""
    made: Task[Any, Any] = declare(function, FakeLauncher(), policies)
    return made
