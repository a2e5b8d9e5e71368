"""Has the commands of a job run in an image."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from daskflow.commands.containers.call import Bind, Call
from daskflow.commands.containers.images import Image
from daskflow.commands.containers.runtimes import RUNTIMES, Runtime, choose, runtime
from daskflow.commands.containers.shelf import Shelf
from daskflow.commands.outputs import nearby
from daskflow.commands.processes import Launch
from daskflow.commands.scratch import Scratch
from daskflow.errors import MountMissing

_ASIDE = "places"
_runtime = cache(runtime)
"""What was found out of a runtime, such as whether its daemon answers, serves all attempts of a worker."""


@dataclass(frozen=True)
class Containers:
    """How a site runs images. It pickles."""

    cache: Path
    """A directory on each node for images that were made ready."""
    order: tuple[str, ...] = RUNTIMES
    """Names of the runtimes that may be used; the first that a node has, and that takes an image, is."""
    options: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Further arguments, by the name of the runtime."""
    binds: tuple[str, ...] = ()
    """What of the host all containers see: `/source`, `/source:/target` or `/source:/target:rw`."""

    def open(self, image: str, *, network: bool = False, show: Sequence[str] = ()) -> Container:
        """A container for an image, which is made ready on this node: that may take long.

        Parameters
        ----------
        image
            As `Image.named` takes it; paths are absolute.
        network
            Whether commands have the network of the host.
        show
            Directories of the host that commands see, read-only: where links of the scratch directory lead to.

        Raises
        ------
        ContainerError
            There is no such image, or nothing here can run it.
        SettingsInvalid
            No runtime of a configured name is known.
        """
        found = Image.named(image)
        found.check()
        chosen = choose([_runtime(name, tuple(self.options.get(name, ()))) for name in self.order], found)
        place = chosen.prepare(found, Shelf(self.cache))
        # What the site says of a directory counts for more.
        binds = [*(Bind(path, path) for path in show), *map(Bind.parse, self.binds)]
        return Container(chosen, place, network=network, binds=binds)


class Container:
    """An image that is ready on this node; each command runs in a container of its own.

    Parameters
    ----------
    runtime
        Runs it.
    place
        What the runtime calls it.
    network
        Whether commands have the network of the host.
    binds
        What they see of the host, beside their scratch directory.
    """

    def __init__(self, runtime: Runtime, place: str, *, network: bool = False, binds: Sequence[Bind] = ()) -> None:
        self.runtime = runtime
        self.place = place
        self._network = network
        self._binds = tuple(binds)

    def wrap(self, launch: Launch, scratch: Scratch) -> Launch:
        """Have a command started in a container; for `Tools.wrap`."""
        name = f"daskflow-{uuid.uuid4().hex}"
        mounts = [Bind(str(_place(scratch, path)), target, writable=True) for target, path in launch.mounts.items()]
        call = Call(
            command=launch.argv,
            work=scratch.work,
            temporary=scratch.tmp,
            aside=scratch.path / _ASIDE,
            cwd=launch.workdir,
            env=launch.own,
            network=self._network,
            binds=[*self._binds, *mounts],
            name=name,
        )
        argv, env = self.runtime.launch(self.place, call)
        return launch._replace(argv=argv, env=env, stop=partial(self.runtime.stop, name))


def _place(scratch: Scratch, path: str) -> Path:
    found = scratch.inside(path)
    if not found.exists():
        raise MountMissing(f"{path!r} cannot be mounted: it is not in the scratch directory. {nearby(scratch)}")
    return found
