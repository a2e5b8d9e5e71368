"""Podman and Docker, which keep their images themselves."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from daskflow.commands.containers.call import Bind, Call, Enclosed
from daskflow.commands.containers.images import Image, Kind
from daskflow.commands.containers.programs import answers, find, run
from daskflow.commands.containers.shelf import Shelf
from daskflow.commands.containers.unpacking import is_rootfs
from daskflow.errors import ContainerError

_PATIENCE = 30.0
"""How long an engine may take to kill a container [s]."""
_LOADED = re.compile(r"^Loaded image(?:\(s\)| ID)?: (?:.*, )?(\S+)$", re.MULTILINE)


class Engine:
    """Runs images by Podman or Docker.

    Parameters
    ----------
    name
        Its program: `podman` or `docker`.
    options
        Further arguments of `podman run`, such as `--device=nvidia.com/gpu=all`.

    Notes
    -----
    The commands are no children of the worker but of the engine: their CPU time and memory are not seen, and whoever
    kills the job must `stop` the container.

    References
    ----------
    https://docs.podman.io/en/latest/markdown/podman-run.1.html
    """

    takes: frozenset[Kind] = frozenset({"reference", "archive"})

    def __init__(self, name: str = "podman", options: Sequence[str] = ()) -> None:
        self.name = name
        self._options = list(options)
        self._security: str | None = None
        self._there: set[str] = set()

    def absence(self) -> str:
        """Why it cannot be used here; empty if it can."""
        return "no such program, or it does not answer" if self._info() is None else ""

    def prepare(self, image: Image, shelf: Shelf) -> str:
        """What it calls the image: registries are asked where it has none of that name, archives loaded once."""
        if image.kind == "reference":
            self._pull(image.place)
            return image.place
        loaded = shelf.note(image, self.name, lambda: self._load(Path(image.place)))
        if not self._has(loaded):
            # Somebody has removed it.
            shelf.drop(image, self.name)
            loaded = shelf.note(image, self.name, lambda: self._load(Path(image.place)))
        return loaded

    def launch(self, image: str, call: Call) -> Enclosed:
        """What runs a command in an image that `prepare` gave."""
        argv = [find(self.name), "run", "--rm", "--init", "--interactive", "--log-driver=none", "--entrypoint="]
        argv += [f"--name={call.name}", f"--workdir={call.cwd}", *self._user(), "--security-opt=label=disable"]
        argv += [f"--network={'host' if call.network else 'none'}", *map(_volume, call.mounts())]
        env, told = _variables(call.variables())
        return Enclosed([*argv, *told, *self._options, image, *call.command], env)

    def stop(self, name: str) -> None:
        """Kill a container; nothing happens where there is none."""
        argv = [find(self.name), "kill", name]
        subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False)

    def _info(self) -> str | None:
        """How the engine describes its security; None where it does not answer."""
        if self._security is None:
            what = "{{json .SecurityOptions}}" if self.name == "docker" else "{{json .Host.Security.Rootless}}"
            self._security = answers([self.name, "info", "--format", what])
        return self._security

    def _pull(self, reference: str) -> None:
        if not self._has(reference):
            run([self.name, "pull", reference], f"pull {reference}")

    def _has(self, image: str) -> bool:
        if image not in self._there and self._id(image) is not None:
            self._there.add(image)
        return image in self._there

    def _id(self, image: str) -> str | None:
        return answers([self.name, "image", "inspect", "--format", "{{.Id}}", image])

    def _user(self) -> list[str]:
        rootless = "rootless" in (self._info() or "") if self.name == "docker" else os.geteuid() != 0
        if rootless and self.name == "docker":
            # Its root is the user, its other users are nobody that the host knows.
            return ["--user=0:0"]
        return [f"--user={os.getuid()}:{os.getgid()}", *(["--userns=keep-id"] if rootless else [])]

    def _load(self, archive: Path) -> str:
        if is_rootfs(archive):
            return run([self.name, "import", str(archive)], f"import {archive}").splitlines()[-1]
        said = run([self.name, "load", "--quiet", "--input", str(archive)], f"load {archive}")
        found = _LOADED.search(said)
        # Not by its name: another archive may have the same.
        identity = self._id(found[1]) if found else None
        if not identity:
            raise ContainerError(f"{self.name} loaded {archive}, but does not say as what: {json.dumps(said[-200:])}.")
        return identity


def _volume(bind: Bind) -> str:
    return f"--volume={bind.source}:{bind.target}:{'rw' if bind.writable else 'ro'}"


def _variables(wanted: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The environment of the engine's program, and the arguments by which the container gets what is wanted of it."""
    env, told = dict(os.environ), []
    for name, value in wanted.items():
        if name in ("HOME", "PATH", "TMPDIR") or env.get(name, value) != value:
            # The program needs its own.
            told.append(f"--env={name}={value}")
        else:
            env[name] = value
            told.append(f"--env={name}")
    return env, told
