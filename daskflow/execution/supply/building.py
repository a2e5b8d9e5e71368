"""Builds a package from its sources, where workers import it from."""

from __future__ import annotations

import io
import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

from daskflow.artifacts.store import ObjectStore
from daskflow.errors import InstallFailed
from daskflow.sites.packages import Package

LOGGER = logging.getLogger("daskflow.install")
_PATIENCE = 1800.0
"""A build that takes longer hangs [s]."""
_TAIL = 30
"""So many of the last lines of a failed build are told."""
_COMPILED = {".c", ".cc", ".cpp", ".cu", ".cxx", ".f", ".f90", ".for", ".pyx", ".rs"}


class Recipe(NamedTuple):
    """How a package is made of its sources."""

    archive: str
    """Digest of the zip file with the sources."""
    module: str
    inside: str
    """Where in the sources it is imported from."""
    project: bool
    """Whether it has a project file."""


def build(package: Package, recipe: Recipe, store: ObjectStore) -> str:
    """Have a package unpacked, once for all who see the directory; returns its version.

    Raises
    ------
    InstallFailed
        It cannot be built; the message holds what the build said.

    Notes
    -----
    Safe for processes. The directory appears whole or not at all.
    """
    from filelock import FileLock

    folder = Path(package.folder)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            _build(package, recipe, store, folder)
    return built_version(package)


def built_version(package: Package) -> str:
    """The version that a package has where it is unpacked."""
    import importlib.metadata

    found = next(iter(importlib.metadata.distributions(path=[package.path])), None)
    return package.version if found is None else found.version


def _build(package: Package, recipe: Recipe, store: ObjectStore, folder: Path) -> None:
    work = folder.with_name(f".{secrets.token_hex(8)}")
    try:
        sources, made = work / "sources", work / "made"
        target = made / package.below
        target.mkdir(parents=True)
        with store.written():
            with zipfile.ZipFile(io.BytesIO(store.get(recipe.archive))) as archive:
                archive.extractall(sources)
            if recipe.project:
                _install(package, recipe, sources, target)
            if not _holds(target, recipe.module):
                _copy(package, recipe, sources, target)
            _count_as_users(target)
            # The top of a project, as the driver sees one: paths in the code are told from there.
            (made / "setup.cfg").touch()
            made.replace(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _install(package: Package, recipe: Recipe, sources: Path, target: Path) -> None:
    said = _pip(package, sources, target)
    if said is None:
        return
    if _needs_compiler(sources) or not _holds(sources / recipe.inside, recipe.module):
        raise InstallFailed(
            f"{package.name} {package.version} cannot be built here. pip needs what its project file names under "
            f"`build-system` in the environment of the workers.\n{said}"
        )
    LOGGER.warning("%s is plain Python, so it was copied, since pip cannot build it here:\n%s", package.name, said)


def _pip(package: Package, sources: Path, target: Path) -> str | None:
    """Build by pip, as a wheel, and unpack it; what it said where that failed."""
    # Nodes that compute seldom reach an index, so what builds has to be there.
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index"]
    command += ["--no-compile", "--target", str(target), str(sources)]
    # The history by which some projects find their version stays at home.
    known = {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "SETUPTOOLS_SCM_PRETEND_VERSION": package.version}
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **known},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"pip did not end within {_PATIENCE:g} s."
    return "\n".join(done.stdout.strip().splitlines()[-_TAIL:]) if done.returncode else None


def _copy(package: Package, recipe: Recipe, sources: Path, target: Path) -> None:
    """Take the module, or the tree of the package, as it is."""
    name = recipe.module
    if (sources / recipe.inside / name).is_dir():
        shutil.copytree(sources / recipe.inside / name, target / name)
    else:
        shutil.copy(sources / recipe.inside / f"{name}.py", target)
    about = target / f"{package.name.replace('-', '_')}-{package.version}.dist-info"
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.name}\nVersion: {package.version}\n")


def _count_as_users(target: Path) -> None:
    """Let the package count as the user's own code here too: by all that it does, not by its version only."""
    for about in target.glob("*.dist-info"):
        # https://packaging.python.org/en/latest/specifications/direct-url-data-structure/
        (about / "direct_url.json").write_text(json.dumps({"url": target.as_uri(), "dir_info": {"editable": True}}))


def _holds(place: Path, module: str) -> bool:
    return (place / module).is_dir() or any(place.glob(f"{module}.*"))


def _needs_compiler(sources: Path) -> bool:
    return any(path.suffix in _COMPILED for path in sources.rglob("*"))
