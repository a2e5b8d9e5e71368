"""What the nodes of a site offer to command jobs: room, and containers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from daskflow.artifacts.cache import NodeCache
from daskflow.commands.containers.container import Container, Containers


class Station(NamedTuple):
    """What the nodes of a site offer to command jobs."""

    scratch: str
    """Where scratch directories are made; empty: beside the cache of the node."""
    containers: Containers
    """How images are run."""
    cache: NodeCache
    """Of which images that were made ready are a part."""

    def scratch_root(self) -> Path:
        """The directory in which scratch directories are made; variables in it are those of the node."""
        if self.scratch:
            # A directory of our own: what others put beside it is none of our business.
            return Path(os.path.expandvars(self.scratch)).expanduser() / f"daskflow-{os.geteuid()}"
        if shared := os.environ.get("DASKFLOW_SHARED_SCRATCH"):
            return Path(shared)  # the ranks of an MPI program on all nodes of this batch job have to see it
        # The cache sees to it that nobody else has made its directory, whose name can be foreseen.
        return self.cache.folder("scratch")

    def container(self, image: str, *, network: bool, show: Iterable[str]) -> Container:
        """A container for an image, which is made ready on this node.

        Parameters
        ----------
        show
            Directories of the node that commands see beside their scratch directory.

        Raises
        ------
        ContainerError
            There is no such image, or nothing here can run it.
        """
        here = replace(self.containers, cache=self.cache.folder("images"))
        return here.open(image, network=network, show=sorted(show))
