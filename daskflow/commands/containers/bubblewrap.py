"""Bubblewrap: images as directories, in namespaces of their own."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from daskflow.commands.containers.call import PATH, Call, Enclosed
from daskflow.commands.containers.images import Image, Kind
from daskflow.commands.containers.programs import answers, find, user_name
from daskflow.commands.containers.shelf import Shelf
from daskflow.commands.containers.unpacking import environment, unpack

_ALONE = ("--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
_OF_THE_KERNEL = ("dev", "proc", "sys")


class Bubblewrap:
    """Runs images by `bwrap`.

    Parameters
    ----------
    options
        Further arguments of `bwrap`, such as `--dev-bind /dev/nvidia0 /dev/nvidia0`.

    Notes
    -----
    The image is read-only. All processes of a command end with the first of them.

    References
    ----------
    https://github.com/containers/bubblewrap
    """

    name = "bubblewrap"
    takes: frozenset[Kind] = frozenset({"directory", "archive"})

    def __init__(self, options: Sequence[str] = ()) -> None:
        self._options = list(options)
        self._works = False

    def absence(self) -> str:
        """Why it cannot be used here; empty if it can."""
        self._works = self._works or answers(["bwrap", "--ro-bind", "/", "/", "--unshare-net", "true"]) is not None
        return "" if self._works else "no such program (bwrap), or this node does not permit user namespaces"

    def prepare(self, image: Image, shelf: Shelf) -> str:
        """The directory of an image; archives are unpacked once per node."""
        if image.kind == "directory":
            return image.place
        return str(shelf.get(image, "rootfs", lambda path: unpack(Path(image.place), path)))

    def launch(self, image: str, call: Call) -> Enclosed:
        """What runs a command in an image that `prepare` gave."""
        rootfs, mounts = Path(image), call.mounts()
        argv = [find("bwrap"), *_ALONE, *([] if call.network else ["--unshare-net"])]
        argv += _shown(rootfs, PurePosixPath("/"), {PurePosixPath(bind.target) for bind in mounts})
        argv += ["--dev", "/dev", "--proc", "/proc"]
        for source, target, writable in mounts:
            argv += ["--bind" if writable else "--ro-bind", source, target]
        argv += _known(rootfs, call)
        env = {"PATH": PATH, **environment(rootfs), **call.variables()}
        argv += ["--remount-ro", "/", "--chdir", str(call.cwd), *self._options, "--", *call.command]
        return Enclosed(argv, env)

    def stop(self, name: str) -> None:
        """Nothing: its processes are children of the worker."""


def _shown(rootfs: Path, place: PurePosixPath, targets: set[PurePosixPath]) -> Iterator[str]:
    """Arguments that show a directory of an image; along the way to what is mounted it is made anew, with places."""
    yield from ("--tmpfs" if place == PurePosixPath("/") else "--dir", str(place))
    directory = rootfs / place.relative_to("/")
    entries = sorted(os.scandir(directory), key=lambda entry: entry.name) if directory.is_dir() else []
    for entry in entries:
        below = place / entry.name
        if below in targets or str(below) in {f"/{name}" for name in _OF_THE_KERNEL}:
            continue
        if any(below in target.parents for target in targets):
            yield from _shown(rootfs, below, targets)
        elif entry.is_symlink():
            yield from ("--symlink", os.readlink(entry.path), str(below))
        elif not stat.S_ISSOCK(entry.stat().st_mode):
            yield from ("--ro-bind", entry.path, str(below))


def _known(rootfs: Path, call: Call) -> list[str]:
    """Arguments by which the user has a name in the container, without which MPI and others do not start."""
    try:
        users = (rootfs / "etc/passwd").read_text("utf-8")
    except OSError:
        return []
    own = os.getuid()
    if any(line.split(":")[2:3] == [str(own)] for line in users.splitlines()):
        return []
    call.aside.mkdir(exist_ok=True)
    file = call.aside / "passwd"
    file.write_text(f"{users.rstrip()}\n{user_name()}:x:{own}:{os.getgid()}::{call.work}:/bin/sh\n", "utf-8")
    return ["--ro-bind", str(file), "/etc/passwd"]
