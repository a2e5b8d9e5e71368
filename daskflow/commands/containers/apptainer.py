"""Apptainer and Singularity."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from daskflow.commands.containers.call import Call, Enclosed, above, make_place
from daskflow.commands.containers.images import Image, Kind
from daskflow.commands.containers.programs import find, run
from daskflow.commands.containers.shelf import Shelf
from daskflow.commands.containers.unpacking import is_rootfs, unpack


class Apptainer:
    """Runs images by Apptainer, or by Singularity, from which it comes.

    Parameters
    ----------
    name
        Its program: `apptainer` or `singularity`.
    options
        Further arguments of `apptainer exec`, such as `--nv`.

    References
    ----------
    https://apptainer.org/docs/user/latest/cli/apptainer_exec.html
    """

    takes: frozenset[Kind] = frozenset({"reference", "directory", "archive", "squashfs", "sif"})

    def __init__(self, name: str = "apptainer", options: Sequence[str] = ()) -> None:
        self.name = name
        self._options = list(options)

    def absence(self) -> str:
        """Why it cannot be used here; empty if it can."""
        return "" if shutil.which(self.name) else "no such program"

    def prepare(self, image: Image, shelf: Shelf) -> str:
        """A file or directory that it runs: registries are asked once per node."""
        if image.kind == "reference":
            return str(shelf.get(image, "sif", lambda path: self._pull(image.place, path)))
        if image.kind != "archive":
            return image.place
        if is_rootfs(Path(image.place)):
            return str(shelf.get(image, "rootfs", lambda path: unpack(Path(image.place), path)))
        return str(shelf.get(image, "sif", lambda path: self._build(image.place, path)))

    def launch(self, image: str, call: Call) -> Enclosed:
        """What runs a command in an image that `prepare` gave."""
        prefix = self.name.upper()
        argv = [find(self.name), "--silent", "exec", "--containall", "--home", str(call.work), "--pwd", str(call.cwd)]
        mounts = call.mounts()
        for bind in mounts:
            # It makes places in images, but not in what is mounted there. The home is mounted before what else is.
            if (outer := above(bind.target, mounts)) is not None:
                make_place(bind, outer)
            argv += ["--bind", f"{bind.source}:{bind.target}:{'rw' if bind.writable else 'ro'}"]
        if not call.network:
            argv += ["--net", "--network", "none"]
        # It has the work directory as its home already, and refuses the variable. Without NO_EVAL a shell would
        # expand what values hold.
        variables = {f"{prefix}ENV_{name}": value for name, value in call.variables().items() if name != "HOME"}
        env = {**os.environ, f"{prefix}_NO_EVAL": "1", **variables}
        return Enclosed([*argv, *self._options, image, *call.command], env)

    def stop(self, name: str) -> None:
        """Nothing: its processes are children of the worker."""

    def _pull(self, reference: str, path: Path) -> None:
        run([self.name, "pull", str(path), f"docker://{reference}"], f"pull {reference}")

    def _build(self, archive: str, path: Path) -> None:
        run([self.name, "build", str(path), f"docker-archive:{archive}"], f"read {archive}")
