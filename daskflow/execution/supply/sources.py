"""Finds what a local package is made of: its name, its version, and the files that count."""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from daskflow.errors import ArgumentsInvalid, InstallFailed
from daskflow.graph.distributions import owner_of, project_of
from daskflow.graph.encoding import digest

UNKNOWN = "0"
"""The version of what has none."""
_PROJECT = ("pyproject.toml", "setup.py")
_SOURCES = ("src", "lib", "python")
"""Directories of a project that packages are often imported from."""
_NOT_SOURCES = {"__pycache__", "build", "dist", "node_modules", "venv"}
_LARGEST = 100 << 20
"""[bytes]"""


class Local(NamedTuple):
    """A package as it lies on this machine."""

    name: str
    """Of the distribution, where it has a project file; else of the module."""
    module: str
    version: str
    root: Path
    """The directory that `files` are counted from."""
    files: tuple[str, ...]
    inside: str
    """Where under the root it is imported from."""
    below: str
    """The same, as seen from the top of the user's project: code may tell its own place from there."""
    project: bool
    """Whether it has a project file, by which it can be built."""

    def digest(self, file_digest: Callable[[Path], str]) -> str:
        """Digest of name, places and contents of all files."""
        lines = [f"{name} {file_digest(self.root / name)}" for name in self.files]
        return digest("\n".join([self.name, self.module, self.inside, self.below, *lines]))

    def archive(self) -> bytes:
        """All files as one zip file, the same bytes for the same files."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in self.files:
                archive.writestr(zipfile.ZipInfo(name), (self.root / name).read_bytes())
        return content.getvalue()


def local_package(package: ModuleType | str | os.PathLike[str]) -> Local:
    """What a package on this machine is made of.

    Parameters
    ----------
    package
        A module; the path of a project, a package or a module; or the name of an editable package.

    Raises
    ------
    ArgumentsInvalid
        It is none, or no package of the user's own.
    InstallFailed
        It is too large.
    """
    if isinstance(package, ModuleType):
        return _of_module(package)
    path = Path(package).expanduser()
    if not path.exists() and isinstance(package, str) and os.sep not in package:
        path = _of_editable(package)
    if path.is_dir() and _is_project(path):
        return _of_project(path.resolve())
    if path.suffix == ".py" or (path / "__init__.py").exists():
        return _plain(path.stem, path.resolve().parent, ".")
    raise ArgumentsInvalid(
        f"install({str(package)!r:.300}): this is neither a project (a directory with pyproject.toml or setup.py) nor "
        "a package or module, nor the name of an editable package. Pass the module itself, or its path."
    )


def _of_module(module: ModuleType) -> Local:
    top = module.__name__.partition(".")[0]
    whole = sys.modules.get(top, module)
    owner = owner_of(top)
    if owner.kind != "user":
        raise ArgumentsInvalid(
            f"install({top}): this is no package of your own, but {owner.name or owner.kind} {owner.version}. "
            "Have it installed at the site: its version is compared before each job that uses it."
        )
    paths = [*getattr(whole, "__path__", ()), getattr(whole, "__file__", None)]
    if paths[0] is None or top == "__main__":
        raise ArgumentsInvalid(f"install({top}): this module lies in no file. Put it into one, and import it.")
    place = Path(paths[0]).resolve().parent
    below = os.path.relpath(place, os.path.realpath(project_of(top)))
    for root in (place, *([place.parent] if place.name in _SOURCES else [])):
        if _is_project(root):
            found = _of_project(root)
            version = found.version if found.version != UNKNOWN else _version(top, whole)
            return found._replace(module=top, version=version, inside=os.path.relpath(place, root), below=below)
    return _plain(top, place, below, _version(top, whole))


def _of_project(root: Path) -> Local:
    known: dict[str, Any] = {}
    if (root / "pyproject.toml").exists():
        import tomllib

        known = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
    name = known.get("name", root.name)
    module = name.replace("-", "_")
    homes = [home for home in (*_SOURCES, ".") if _holds(root / home, module)]
    inside = homes[0] if homes else "."
    version = known.get("version") or _version(name)
    return Local(name, module, version, root, _checked(root, _walk(root)), inside, inside, project=True)


def _plain(module: str, place: Path, below: str, version: str = "") -> Local:
    single = f"{module}.py"
    files = [single] if (place / single).exists() else [f"{module}/{name}" for name in _walk(place / module)]
    version = version or _version(module)
    return Local(module, module, version, place, _checked(place, files), ".", below, project=False)


def _of_editable(name: str) -> Path:
    import importlib.metadata

    for found in importlib.metadata.distributions(name=name):
        origin = json.loads(found.read_text("direct_url.json") or "{}")
        if origin.get("dir_info", {}).get("editable"):
            return Path(unquote(urlsplit(origin["url"]).path))
    return Path(name)


def _is_project(root: Path) -> bool:
    return any((root / name).is_file() for name in _PROJECT)


def _holds(place: Path, module: str) -> bool:
    return (place / module).is_dir() or (place / f"{module}.py").is_file()


def _version(name: str, module: ModuleType | None = None) -> str:
    import importlib.metadata

    given = getattr(module, "__version__", None)
    if isinstance(given, str):
        return given
    found = next(iter(importlib.metadata.distributions(name=name)), None)
    return UNKNOWN if found is None else found.version


def _walk(root: Path) -> Iterator[str]:
    """The files that may be sources, not what tools put beside them."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not _is_aside(Path(folder, name)))
        yield from (os.path.relpath(os.path.join(folder, name), root) for name in sorted(names) if name[0] != ".")


def _is_aside(folder: Path) -> bool:
    name = folder.name
    if name[0] == "." or name in _NOT_SOURCES or name.endswith((".egg-info", ".dist-info")):
        return True
    return (folder / "pyvenv.cfg").exists()


def _checked(root: Path, names: Iterator[str] | list[str]) -> tuple[str, ...]:
    files, size = [], 0
    for name in names:
        files.append(name)
        size += (root / name).stat().st_size
        if size > _LARGEST:
            raise InstallFailed(
                f"The package in {root} is over {_LARGEST >> 20} MiB large, which is more than code is. "
                "Put its data elsewhere, and pass it to tasks as paths."
            )
    return tuple(files)
