"""Charliecloud: images as directories, run with no rights but those of the user."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from daskflow.commands.containers.call import PATH, Bind, Call, Enclosed, above, make_place
from daskflow.commands.containers.images import Image, Kind
from daskflow.commands.containers.network import without_network
from daskflow.commands.containers.programs import find, run, user_name
from daskflow.commands.containers.shelf import Shelf
from daskflow.commands.containers.unpacking import environment, unpack
from daskflow.errors import ContainerError


class Charliecloud:
    """Runs images by `ch-run`.

    Parameters
    ----------
    options
        Further arguments of `ch-run`.

    Notes
    -----
    The command is started in place of `ch-run`, so signals, exit codes and usage are its own. The image is read-only;
    binds that are to be read-only are not, for `ch-run` cannot forbid it.

    References
    ----------
    https://hpc.github.io/charliecloud/ch-run.html
    """

    name = "charliecloud"
    takes: frozenset[Kind] = frozenset({"reference", "directory", "archive", "squashfs"})

    def __init__(self, options: Sequence[str] = ()) -> None:
        self._options = list(options)

    def absence(self) -> str:
        """Why it cannot be used here; empty if it can."""
        return "" if shutil.which("ch-run") else "no such program (ch-run)"

    def prepare(self, image: Image, shelf: Shelf) -> str:
        """The directory of an image: registries are asked once per node, archives unpacked once."""
        if image.kind == "directory":
            return image.place
        if image.kind == "archive":
            return str(shelf.get(image, "rootfs", lambda path: unpack(Path(image.place), path)))
        if image.kind == "squashfs":
            return str(shelf.get(image, "rootfs", lambda path: _unsquash(image.place, path)))
        return str(shelf.get(image, "rootfs", lambda path: _pull(image.place, path, shelf.root / "charliecloud")))

    def launch(self, image: str, call: Call) -> Enclosed:
        """What runs a command in an image that `prepare` gave.

        Raises
        ------
        ContainerError
            A directory of the host has no place in the image.
        """
        rootfs = Path(image)
        argv = [*([] if call.network else without_network()), find("ch-run"), f"--cd={call.cwd}"]
        if not all((rootfs / "etc" / name).exists() for name in ("passwd", "group")):
            argv.append("--no-passwd")
        for source, target, _ in _with_places(rootfs, call):
            argv.append(f"--bind={source}:{target}")
        variables = {"PATH": PATH, **environment(rootfs), **call.variables()}
        env = {"USER": user_name(), **variables}
        return Enclosed([*argv, *self._options, image, "--", *call.command], env)

    def stop(self, name: str) -> None:
        """Nothing: its processes are children of the worker."""


def _with_places(rootfs: Path, call: Call) -> list[Bind]:
    """The binds, and before them those by which there is a place for each: `ch-run` makes none in images."""
    found: list[Bind] = []
    for bind in call.mounts():
        if (outer := above(bind.target, found)) is None:
            place = _missing(rootfs, PurePosixPath(bind.target), folder=os.path.isdir(bind.source))
            if place is not None:
                outer = Bind(str(call.aside / place.name), str(place), writable=True)
                found.append(outer)
        if outer is not None:
            make_place(bind, outer)
        found.append(bind)
    return found


def _missing(rootfs: Path, target: PurePosixPath, *, folder: bool) -> PurePosixPath | None:
    """The directory of an image on which one with the place is mounted; None: the place is there."""
    for place in [*reversed(target.parents), target][1:]:
        path = rootfs / place.relative_to("/")
        if path.is_symlink():
            raise ContainerError(
                f"{target} cannot be shown in the image {rootfs}: {place} is a link there. Choose another place for it."
            )
        if not path.exists() and place == target and not folder and os.listdir(path.parent):
            raise ContainerError(
                f"charliecloud cannot show the file {target} in the image {rootfs}, which has none of that name: there "
                "are places for directories only. Choose a directory of its own for it."
            )
        if not path.exists():
            return _emptied(rootfs, place)
    return None


def _emptied(rootfs: Path, place: PurePosixPath) -> PurePosixPath:
    outer = rootfs / place.parent.relative_to("/")
    if place.parent != PurePosixPath("/") and not os.listdir(outer):
        return place.parent
    try:
        outer.joinpath(place.name).mkdir(exist_ok=True)
    except OSError as error:
        raise ContainerError(
            f"charliecloud cannot show {place} in the image {rootfs}, which has no such directory ({error.strerror}). "
            "Make it there, empty."
        ) from error
    return place


def _unsquash(file: str, target: Path) -> None:
    run(["unsquashfs", "-quiet", "-no-progress", "-no-xattrs", "-dest", str(target), file], f"read {file}")


def _pull(reference: str, target: Path, storage: Path) -> None:
    # Its storage takes one at a time, and is of no use to others once the image is a directory.
    run(["ch-image", f"--storage={storage}", "pull", reference], f"pull {reference}")
    try:
        convert = ["ch-convert", f"--storage={storage}", "--in-fmt=ch-image", "--out-fmt=dir"]
        run([*convert, reference, str(target)], f"convert {reference}")
    finally:
        with contextlib.suppress(ContainerError):
            run(["ch-image", f"--storage={storage}", "delete", reference], f"delete {reference}")
