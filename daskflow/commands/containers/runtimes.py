"""The container runtimes that are known, and which of them runs an image here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from daskflow.commands.containers.apptainer import Apptainer
from daskflow.commands.containers.bubblewrap import Bubblewrap
from daskflow.commands.containers.call import Call, Enclosed
from daskflow.commands.containers.charliecloud import Charliecloud
from daskflow.commands.containers.engines import Engine
from daskflow.commands.containers.images import Image, Kind
from daskflow.commands.containers.shelf import Shelf
from daskflow.commands.containers.udocker import Udocker
from daskflow.errors import ContainerError, SettingsInvalid


class Runtime(Protocol):
    """What runs commands in images."""

    name: str
    """As configurations call it."""
    takes: frozenset[Kind]
    """The kinds of images that it can run."""

    def absence(self) -> str:
        """Why it cannot be used on this node; empty if it can."""

    def prepare(self, image: Image, shelf: Shelf) -> str:
        """What `launch` takes for the image: pulled, unpacked or converted once per node. Raises ContainerError."""

    def launch(self, image: str, call: Call) -> Enclosed:
        """What is started on the host so that a command runs in an image that `prepare` gave."""

    def stop(self, name: str) -> None:
        """Kill what runs in the container of a name, where that is not done by killing the host's processes."""


_KNOWN: Mapping[str, Callable[[Sequence[str]], Runtime]] = {
    "apptainer": lambda options: Apptainer("apptainer", options),
    "singularity": lambda options: Apptainer("singularity", options),
    "podman": lambda options: Engine("podman", options),
    "charliecloud": Charliecloud,
    "bubblewrap": Bubblewrap,
    # Its daemon is seldom there for users of clusters, and a client may wait long for it.
    "docker": lambda options: Engine("docker", options),
    "udocker": Udocker,
}
RUNTIMES = tuple(_KNOWN)
"""Names of the known runtimes, in the order in which they are tried where nothing else is configured."""


def runtime(name: str, options: Sequence[str] = ()) -> Runtime:
    """The runtime of a name.

    Parameters
    ----------
    options
        Further arguments of the command that starts a container.

    Raises
    ------
    SettingsInvalid
        No such runtime is known.
    """
    if name not in _KNOWN:
        raise SettingsInvalid(f"{name!r} is no container runtime; known are {', '.join(RUNTIMES)}.")
    return _KNOWN[name](options)


def choose(order: Sequence[Runtime], image: Image) -> Runtime:
    """The first of some runtimes that is on this node and takes an image.

    Raises
    ------
    ContainerError
        None does; with what was tried and what can be done.
    """
    reasons: dict[str, list[str]] = {}
    for one in order:
        reason = one.absence() if image.kind in one.takes else "for other kinds of images"
        if not reason:
            return one
        reasons.setdefault(reason, []).append(one.name)
    tried = "; ".join([f"{', '.join(names)}: {reason}" for reason, names in reasons.items()])
    raise ContainerError(
        f"Nothing on this node runs the image {image.place}, a {_WORDS[image.kind]} ({tried}). Install one of "
        "them, give the image in another form, or name what the site has under `containers` in the configuration."
    )


_WORDS: Mapping[Kind, str] = {
    "reference": "reference to a registry",
    "directory": "directory",
    "archive": "tarball",
    "squashfs": "SquashFS file",
    "sif": "SIF file",
}
