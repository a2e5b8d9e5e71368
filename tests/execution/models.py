"""Small packages, as scientists write them, for tests that bring them to workers."""

from __future__ import annotations

import importlib
import sys
import textwrap
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

_TEXT = """
    from daskflow import task

    __version__ = "{version}"

    def step(x):
        return x + {step}

    @task
    def simulate(x):
        return {{"value": step(x), "file": __file__, "version": __version__}}
"""

_BACKEND = """
    # A build backend that needs nothing but Python: https://peps.python.org/pep-0517/
    import os, zipfile

    def build_wheel(directory, config_settings=None, metadata_directory=None):
        name = "{name}-{version}-py3-none-any.whl"
        about = "{name}-{version}.dist-info"
        with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
            wheel.write("src/{name}.py", "{name}.py")
            wheel.writestr("built_by_backend.py", "")
            wheel.writestr(about + "/METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
            wheel.writestr(about + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
            wheel.writestr(about + "/RECORD", "")
        return name
"""


class Model:
    """A module of its own name, in a directory that the driver imports from.

    Parameters
    ----------
    folder
        Where the project lies.
    backend
        Whether it is a project that can be built, with its module in `src`.
    """

    def __init__(self, folder: Path, *, backend: bool = False) -> None:
        self.name = f"model_{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.backend = backend
        self.place = folder / "src" if backend else folder
        self.place.mkdir(parents=True, exist_ok=True)
        sys.path.insert(0, str(self.place))

    def write(self, step: int, version: str = "1.0") -> ModuleType:
        """Write the module anew, and import it."""
        text = textwrap.dedent(_TEXT).format(step=step, version=version)
        (self.place / f"{self.name}.py").write_text(text)
        if self.backend:
            backend = textwrap.dedent(_BACKEND).format(name=self.name, version=version)
            (self.folder / "backend.py").write_text(backend)
            self.project(version, "backend")
        sys.modules.pop(self.name, None)
        importlib.invalidate_caches()
        return importlib.import_module(self.name)

    def project(self, version: str, backend: str) -> None:
        """Write a project file."""
        (self.folder / "pyproject.toml").write_text(
            f'[build-system]\nrequires = []\nbuild-backend = "{backend}"\nbackend-path = ["."]\n'
            f'[project]\nname = "{self.name}"\nversion = "{version}"\n'
        )

    def forget(self) -> None:
        """Import it no more."""
        sys.path.remove(str(self.place))
        sys.modules.pop(self.name, None)


def written_in_a_moment(monkeypatch: Any) -> None:
    """Python takes a source file for unchanged whose size and second are those of its compiled one."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
