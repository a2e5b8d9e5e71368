"""The tasks of a job, as the PROMINENCE client says them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_KEYS = {
    "image": "image",
    "runtime": "runtime",
    "command": "cmd",
    "type": "type",
    "workdir": "workdir",
    "env": "env",
    "procs_per_node": "procsPerNode",
}


@dataclass
class Task:
    """One command of a job, in a container image or, without one, on the node itself.

    Examples
    --------
    >>> Task(command="lmp -in melt.in").to_dict()
    {'cmd': 'lmp -in melt.in', 'type': 'basic'}
    """

    image: str | None = None
    """As `centos:7`, `docker://...`, a `.sif` file or a tarball that the nodes see; each task has its own, or none."""
    runtime: str | None = None
    """`singularity` or `udocker`; kept, since the configuration of the site says which runtimes there are."""
    command: str | None = None
    """A program with its arguments. No shell sees them: `/bin/sh -c 'seq 3 > out'`."""
    type: str = "basic"
    """`basic`; `sidecar`: runs beside the others; `openmpi`, `mpich`, `intelmpi`: started once for each rank."""
    workdir: str | None = None
    """Where it runs, in the scratch directory."""
    env: dict[str, Any] = field(default_factory=dict)
    """Variables of its environment."""
    procs_per_node: int | None = None
    """Ranks on each node; by default one for each CPU."""

    @property
    def cmd(self) -> str | None:
        """The command, by its name in JSON."""
        return self.command

    @cmd.setter
    def cmd(self, command: str | None) -> None:
        self.command = command

    def to_dict(self) -> dict[str, Any]:
        """As JSON describes it."""
        found = {key: getattr(self, name) for name, key in _KEYS.items()}
        return {key: value for key, value in found.items() if value not in (None, "", {})}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Task:
        """What a description says."""
        return cls(**{name: data[key] for name, key in _KEYS.items() if key in data})
