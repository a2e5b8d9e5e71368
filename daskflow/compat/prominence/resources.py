"""What a job needs, as the PROMINENCE client says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class CpusInterval:
    """A range of CPUs, or two numbers of them."""

    min: int | None = None
    """The smaller number."""
    max: int | None = None
    """The larger one."""

    def to_dict(self) -> list[int]:
        """As JSON describes it; empty unless both are given."""
        return [] if self.min is None or self.max is None else [self.min, self.max]


@dataclass
class Resources:
    """What a job needs on each node.

    Examples
    --------
    >>> Resources(cpus=4, memory=8, walltime=30).to_dict()
    {'nodes': 1, 'disk': 10, 'cpus': 4, 'memory': 8, 'walltime': 30}
    """

    cpus: int = 1
    """CPUs."""
    memory: float = 1
    """[GiB]"""
    disk: float = 10
    """[GiB]; kept, and without effect."""
    nodes: int = 1
    """How many nodes."""
    walltime: float = 0
    """After this time the job is killed [min]; 0: after 12 h."""
    memory_per_cpu: float = 0
    """In place of `memory` [GiB]."""
    cpus_range: CpusInterval = field(default_factory=CpusInterval)
    """In place of `cpus`: at least, and at most."""
    cpus_options: CpusInterval = field(default_factory=CpusInterval)
    """In place of `cpus`: either."""
    total_cpus_range: CpusInterval = field(default_factory=CpusInterval)
    """In place of `cpus`: at least, and at most, on all nodes."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON describes them."""
        ranges = {
            "cpusRange": self.cpus_range.to_dict(),
            "cpusOptions": self.cpus_options.to_dict(),
            "totalCpusRange": self.total_cpus_range.to_dict(),
        }
        given = {name: pair for name, pair in ranges.items() if pair}
        cpus: dict[str, Any] = {**given} if given else {"cpus": self.cpus}
        memory = {"memoryPerCpu": self.memory_per_cpu} if self.memory_per_cpu else {"memory": self.memory}
        walltime = {"walltime": self.walltime} if self.walltime else {}
        return {"nodes": self.nodes, "disk": self.disk, **cpus, **memory, **walltime}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Resources:
        """What a description says."""
        made = cls(
            cpus=data.get("cpus", 1),
            memory=data.get("memory", 1),
            disk=data.get("disk", 10),
            nodes=data.get("nodes", 1),
            walltime=data.get("walltime", 0),
            memory_per_cpu=data.get("memoryPerCpu", 0),
        )
        made.cpus_range = CpusInterval(*data.get("cpusRange", ()))
        made.cpus_options = CpusInterval(*data.get("cpusOptions", ()))
        made.total_cpus_range = CpusInterval(*data.get("totalCpusRange", ()))
        return made
