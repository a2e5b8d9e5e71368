"""udocker, which users install themselves where a site has nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence

from daskflow.commands.containers.call import Call, Enclosed
from daskflow.commands.containers.images import Image, Kind
from daskflow.commands.containers.programs import find, run
from daskflow.commands.containers.shelf import Shelf
from daskflow.errors import ContainerError

_LINES = re.compile(r"^[\w.:/@-]+$", re.MULTILINE)


class Udocker:
    """Runs images by udocker.

    Parameters
    ----------
    options
        Further arguments of `udocker run`.

    Notes
    -----
    It has no namespaces: commands have the network of the host, may write into the image, which all jobs of the user on
    the node share, and their variables stand in its arguments, which everybody on the node can read.

    References
    ----------
    https://indigo-dc.github.io/udocker/user_manual.html
    """

    name = "udocker"
    takes: frozenset[Kind] = frozenset({"reference", "archive"})

    def __init__(self, options: Sequence[str] = ()) -> None:
        self._options = list(options)

    def absence(self) -> str:
        """Why it cannot be used here; empty if it can."""
        return "" if shutil.which("udocker") else "no such program"

    def prepare(self, image: Image, shelf: Shelf) -> str:
        """The id of the container in which all jobs run: registries are asked once per node."""
        return shelf.note(image, "udocker", lambda: self._create(image))

    def launch(self, image: str, call: Call) -> Enclosed:
        """What runs a command in an image that `prepare` gave."""
        argv = [find("udocker"), *_quiet(), "run", "--nobanner", "--entrypoint=", f"--workdir={call.cwd}"]
        argv += [f"--volume={bind.source}:{bind.target}" for bind in call.mounts()]
        argv += [f"--env={name}={value}" for name, value in call.variables().items()]
        return Enclosed([*argv, *self._options, image, *call.command], dict(os.environ))

    def stop(self, name: str) -> None:
        """Nothing: its processes are children of the worker."""

    def _create(self, image: Image) -> str:
        reference = image.place
        if image.kind == "reference":
            run(["udocker", *_quiet(), "pull", reference], f"pull {reference}")
        else:
            reference = _last(run(["udocker", *_quiet(), "load", "-i", image.place], f"load {image.place}"))
        return _last(run(["udocker", *_quiet(), "create", reference], f"make a container of {reference}"))


def _quiet() -> list[str]:
    return ["--quiet", *(["--allow-root"] if os.geteuid() == 0 else [])]


def _last(said: str) -> str:
    """The name in the last line of what udocker said."""
    found = _LINES.findall(said)
    if not found:
        raise ContainerError(f"udocker gives no name: {json.dumps(said[-200:])}. Look whether it works by hand.")
    return str(found[-1])
