"""Has the command of a service run in an image."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from daskflow.commands.containers.call import Bind, Call
from daskflow.commands.containers.images import Image
from daskflow.commands.processes import Launch
from daskflow.execution.commanding.station import Station


class Enclosing:
    """Checks the images of services where these are spawned.

    Parameters
    ----------
    station
        Gives what the nodes of the site offer.
    """

    def __init__(self, station: Callable[[], Station]) -> None:
        self._station = station

    def __call__(self, image: str) -> tuple[str, bytes]:
        """The name of an image as all nodes know it, and what a node needs to run it.

        Raises
        ------
        ContainerError
            It names no image.
        """
        return Image.named(image).text, pickle.dumps(self._station())


def enclosed(launch: Launch, image: str, station: bytes, *, binds: Sequence[str], temporary: Path, name: str) -> Launch:
    """How a command is started in a container; its image is made ready on this node, which may take long.

    Parameters
    ----------
    launch
        How it would be started without: its working directory is shown to it, with write access.
    binds
        What else of the host it sees; of two at one place the later one.
    temporary
        A directory of the node for it alone.
    name
        Unlike that of any other container on the node.

    Raises
    ------
    ContainerError
        There is no such image, or nothing here can run it.
    """
    offered: Station = pickle.loads(station)
    # A mistake in a bind is told before an image is pulled.
    own = [Bind.parse(bind) for bind in binds]
    containers = replace(offered.containers, cache=offered.cache.folder("images"))
    container = containers.open(image, network=True)
    inside, aside = temporary / "tmp", temporary / "aside"
    inside.mkdir()
    call = Call(
        command=launch.argv,
        work=launch.workdir,
        temporary=inside,
        aside=aside,
        cwd=launch.workdir,
        env=launch.own,
        network=True,
        binds=[*map(Bind.parse, containers.binds), *own],
        name=name,
    )
    argv, env = container.runtime.launch(container.place, call)
    return launch._replace(argv=argv, env=env, stop=partial(container.runtime.stop, name))
