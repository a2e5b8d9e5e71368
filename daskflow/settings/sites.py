"""What can be configured of a site, and of the pools of workers that a site of a batch system has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from daskflow.errors import ContainerError
from daskflow.model.quantities import Bytes, Seconds, enough
from daskflow.settings.kinds import BATCH, KINDS_OF, POOL_OPTIONS, SYSTEM_OPTIONS, Kind, strangers
from daskflow.settings.particular import particular
from daskflow.settings.walltime import Walltime

DEFAULT_POOL = "default"
"""Name of the pool of a site that names none."""
NEEDED = ("cores", "memory", "walltime")
"""What each pool has to be told."""
_LEAST_MEMORY = 16 << 20
"""No worker begins in less [bytes]."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
_PREFIX = re.compile(r"^\s*#\s*(?:SBATCH|PBS|BSUB|OAR|\$)\s+")


def lines(value: Any) -> Any:
    """Lines, from one text or several; without empty ones."""
    return tuple(line for line in value.splitlines() if line.strip()) if isinstance(value, str) else value


def _directives(value: Any) -> Any:
    """Options of a job script, without the prefix that they have in it."""
    found = lines(value)
    if isinstance(found, (list, tuple)):
        return tuple(_PREFIX.sub("", line).strip() if isinstance(line, str) else line for line in found)
    return found


def text_of(value: Any) -> Any:
    """Numbers and booleans of YAML as a text."""
    return str(value).lower() if isinstance(value, (bool, int, float)) else value


Lines = Annotated[tuple[str, ...], BeforeValidator(lines, json_schema_input_type=str | tuple[str, ...])]
Directives = Annotated[tuple[str, ...], BeforeValidator(_directives, json_schema_input_type=str | tuple[str, ...])]
Text = Annotated[str, BeforeValidator(text_of, json_schema_input_type=str | float | bool)]


class PoolSettings(BaseModel):
    """A group of like workers of one site: each is one batch job on one node, a pilot.

    What a pool does not say is as said for its site.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    queue: Text | None = None
    """Partition or queue; None: the default of the batch system."""
    account: Text | None = None
    """Who pays: account or project; None: the user's default."""
    cores: int | None = Field(default=None, ge=1)
    """Cores of one pilot. Has to be said."""
    memory: Annotated[Bytes, enough(_LEAST_MEMORY)] | Literal["auto"] = "auto"
    """Memory of one pilot, or of one worker process of this machine, over which it is restarted [bytes]; a text such as
    `16 GiB` is read. Has to be said for pilots; `auto`, for this machine: a fair share of it."""
    walltime: Walltime | None = None
    """How long one pilot may run [s]: `1 h 30 min`, `"01:30:00"`, `"1-00:00:00"`. Has to be said."""
    gpus: int | None = Field(default=None, ge=0)
    """Graphics processors of one pilot; None: 0."""
    nodes: int | None = Field(default=None, ge=1)
    """Nodes that a batch job of several nodes may span at most; None: what its queue allows. Pilots have one."""
    min_pilots: int | None = Field(default=None, ge=0)
    """So many pilots are there as long as something runs; None: 0."""
    max_pilots: int | None = Field(default=None, ge=1)
    """Not more pilots at a time; None: 10."""
    directives: Directives | None = None
    """Further lines of the head of each job script, without their prefix: `--qos=long`."""
    prologue: Lines | None = None
    """Lines of shell before anything else of a job: `module load python`. A line that fails ends the job."""


class SiteSettings(PoolSettings):
    """One place that computes."""

    kind: Kind = "processes"
    """`processes` or `threads` of this machine, `synchronous`: in the driver itself, one job after the other, for
    debugging; `dask`: the workers of a scheduler that runs already; `slurm`, `pbs`, `sge`, `lsf`, `oar`, `htcondor`:
    pilots, which are jobs of that batch system; `allocation`: the nodes of the batch job that the driver is in."""
    workers: int | None = Field(default=None, ge=1)
    """Number of worker processes, or of threads; None: one for each core."""
    threads: int = Field(default=1, ge=1)
    """Jobs that one worker process performs at a time."""
    address: str = ""
    """Address of the scheduler, for the kind `dask`: `tcp://host:8786`."""
    dashboard: str = "127.0.0.1:0"
    """Where the dask dashboard listens; port 0 takes any free one, an empty text switches it off."""
    shipping: bool = True
    """Whether `install` may bring packages to its workers; else they must have them."""
    scratch: str | None = None
    """Where command jobs run on its nodes, and where pilots keep temporary files; None: as said for all sites."""
    containers: tuple[str, ...] | None = None
    """The container runtimes that its nodes have; None: as said for all sites."""
    container_options: dict[str, tuple[str, ...]] = {}
    """Further arguments of the program that starts a container, by the name of the runtime."""
    binds: tuple[str, ...] = ()
    """What of the host containers see: `/source`, `/source:/target` or `/source:/target:rw`."""

    system: dict[str, str | int | float | bool] = {}
    """What is particular to one batch system. `slurm`: `cluster`, which of several all commands are for. `sge`:
    `parallel` and `spanning`, the parallel environments of jobs on one node (`smp`) and on several (`mpi`), and
    `memory`, the resource that memory is asked by (`h_vmem`; empty: it is not asked for). `pbs`: `torque`, whether it
    is Torque (else it is found out). `oar`: `memory`, the property of nodes that tells it. `htcondor`: `disk` [bytes].
    All: `timeout`, after which a command of it counts as unanswered [s]."""
    pools: dict[str, PoolSettings] = {}
    """Groups of like workers by name, in the order in which jobs choose them: the first that holds a job gets it. What
    a pool does not say is as said for the site; without pools the site is one, named `default`."""
    shared: Path | None = None
    """Directory that driver and nodes share, for scripts, logs, notes and what batch jobs are handed; None:
    `sites/NAME` beside the store."""
    interface: str = ""
    """Network interface of the driver by which nodes reach it, such as `ib0`; empty: the one of its default route."""
    worker_interface: str = ""
    """Network interface of the nodes; empty: the one by which they reach the driver."""
    tls: bool = True
    """Whether driver and workers talk by TLS, with keys that are made for each opening of the site."""
    python: str = ""
    """The interpreter on the nodes; empty: the driver's own path. It needs daskflow and dask in the same versions."""
    environment: dict[str, Text] = {}
    """Variables for the workers."""
    idle: Seconds = Field(default=60.0, ge=1)
    """Pilots that have nothing to perform go after this time [s]."""
    margin: Seconds = Field(default=10.0, ge=0)
    """So long before the end of its walltime a pilot performs nothing any more [s]."""
    notice: Seconds = Field(default=60.0, ge=0)
    """So long before the end of its walltime what a pilot performs is told to stop [s]; half of it at most."""
    poll: Seconds = Field(default=30.0, ge=1)
    """The batch system is asked how jobs stand at most so often [s]."""
    patience: int = Field(default=3, ge=1)
    """After so many pilots of a pool in a row that did not start, the pool is given up."""
    max_jobs: int | None = Field(default=None, ge=1)
    """Not more batch jobs at a time, whatever the pools allow; None: no limit."""
    arrays: bool = True
    """Whether several pilots are submitted as one array, where the batch system has arrays."""

    @field_validator("system")
    @classmethod
    def _reads_system(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {name: particular(name, value) for name, value in given.items()}

    @model_validator(mode="after")
    def _has_options_of_its_kind(self) -> SiteSettings:
        said = [name for name in type(self).model_fields if getattr(self, name) != _default(name)]
        if unfit := strangers(self.kind, said):
            having = KINDS_OF[unfit[0]]
            raise ValueError(
                f"a site of the kind {self.kind!r} has no option {unfit[0]!r}; the kinds that have it are "
                f"{', '.join(having)}"
            )
        known = SYSTEM_OPTIONS.get(self.kind, ())
        if odd := [name for name in self.system if name not in known]:
            raise ValueError(f"system.{odd[0]} is no option of the kind {self.kind!r}; there are {', '.join(known)}")
        if self.kind == "dask" and not self.address:
            raise ValueError("a site of the kind 'dask' needs the address of its scheduler: address: tcp://host:8786")
        return self

    @model_validator(mode="after")
    def _names_runtimes(self) -> SiteSettings:
        check_containers([*(self.containers or ()), *self.container_options], self.binds)
        return self

    @model_validator(mode="after")
    def _has_whole_pools(self) -> SiteSettings:
        if self.kind in BATCH:
            for name, pool in self.whole_pools().items():
                self._check_pool(name, pool)
        return self

    def _check_pool(self, name: str, pool: PoolSettings) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a pool: letters, digits, '_', '-' and '.' make one")
        where = f"the pool {name!r}" if self.pools else f"a site of the kind {self.kind!r}"
        missing = [option for option in NEEDED if getattr(pool, option) in (None, "auto")]
        if missing:
            raise ValueError(
                f"{where} needs {' and '.join(missing)} of one pilot, such as cores: 8, memory: 16 GiB, walltime: 2 h"
            )
        if pool.walltime is not None and pool.walltime <= self.margin:
            raise ValueError(f"{where} has a walltime that is not longer than its margin of {self.margin:g} s")
        if (pool.min_pilots or 0) > (10 if pool.max_pilots is None else pool.max_pilots):
            raise ValueError(f"{where} has a min_pilots that is more than its max_pilots")

    def whole_pools(self) -> dict[str, PoolSettings]:
        """The pools, each with all that it has from its site."""
        own = {name: getattr(self, name) for name in (*POOL_OPTIONS, "memory")}
        pools = self.pools or {DEFAULT_POOL: PoolSettings()}
        return {
            name: PoolSettings.model_construct(**own | {key: getattr(pool, key) for key in _said(pool)})
            for name, pool in pools.items()
        }


def _default(name: str) -> Any:
    return SiteSettings.model_fields[name].default


def _said(pool: PoolSettings) -> list[str]:
    return [name for name in PoolSettings.model_fields if getattr(pool, name) not in (None, "auto")]


def check_containers(names: Iterable[str], binds: Iterable[str] = ()) -> None:
    """See that the container runtimes are known, and the binds can be read.

    Raises
    ------
    ValueError
        They are not.
    """
    if not (names := list(names)) and not binds:
        return
    from daskflow.commands.containers.call import Bind  # noqa: PLC0415, most configurations name no containers
    from daskflow.commands.containers.runtimes import RUNTIMES  # noqa: PLC0415, the same

    for name in names:
        if name not in RUNTIMES:
            raise ValueError(f"{name!r} is no container runtime; known are {', '.join(RUNTIMES)}")
    for bind in binds:
        try:
            Bind.parse(bind)
        except ContainerError as error:
            raise ValueError(str(error)) from None


def check_names(names: Iterable[str]) -> None:
    """See that sites have names that job names and paths can hold.

    Raises
    ------
    ValueError
        One has not.
    """
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a site: letters, digits, '_', '-' and '.' make one")


def built_in() -> dict[str, SiteSettings]:
    """The sites that are there without being configured."""
    # Not at import: the first record that is made has pydantic build its schema and look for plugins.
    return {
        "local": SiteSettings(),
        "threads": SiteSettings(kind="threads"),
        "synchronous": SiteSettings(kind="synchronous"),
    }
