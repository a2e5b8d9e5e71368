"""The configuration of a Slurm on one machine: several nodes on loopback, without cgroups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_SLURM_CONF = """\
ClusterName=daskflow
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A job that is queued again waits until its credential has expired; the default is two minutes.
AuthInfo=socket={directory}/munge/socket,cred_expire=15
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={directory}/state
SlurmctldPidFile={directory}/run/slurmctld.pid
SlurmctldLogFile={directory}/log/slurmctld.log
SlurmdSpoolDir={directory}/spool/%n
# One for each node: else the nodes of one machine collide in it, and MPI over several nodes fails.
TmpFS={directory}/tmp/%n
SlurmdPidFile={directory}/run/slurmd.%n.pid
SlurmdLogFile={directory}/log/slurmd.%n.log
# Nodes may claim more than the machine has.
SlurmdParameters=config_overrides
SlurmctldDebug=info
SlurmdDebug=info
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
# Without cgroups a job that takes more memory than it asked for is found by looking, every two seconds.
JobAcctGatherParams=OverMemoryKill
MpiDefault=none
MailProg=/bin/true
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=512
GresTypes=gpu
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=20000,sched_interval=1,bf_interval=2,batch_sched_delay=0
PriorityType=priority/basic
KillWait=3
InactiveLimit=0
MinJobAge=300
SlurmctldTimeout=30
SlurmdTimeout=60
OverTimeLimit=0
MaxArraySize=1001
JobRequeue=1
JobCompType=jobcomp/filetxt
JobCompLoc={directory}/log/jobcomp.txt
"""
_DEVICES = ("/dev/null", "/dev/zero")
"""Slurm wants a device for each GPU; it does not open it."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a cluster looks like."""

    nodes: int = 3
    """How many, named n1, n2, ..."""
    cpus: int = 4
    """Of each node, whatever the machine has."""
    memory: int = 6000
    """Of each node [MB]."""
    gpus: int = 2
    """Of the last node, at most 2; they compute nothing, but who has which is true."""
    accounting: bool = False
    """Whether `sacct` knows the jobs of the past."""

    @property
    def names(self) -> tuple[str, ...]:
        """Those of its nodes."""
        return tuple(f"n{number}" for number in range(1, self.nodes + 1))


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a cluster lives."""

    directory: Path
    host: str
    user: str
    controller: int
    """The port of slurmctld."""
    daemons: tuple[int, ...]
    """The ports of the nodes."""
    database: int | None = None
    """The port of slurmdbd."""


def write(shape: Shape, place: Place) -> None:
    """Write what the daemons and the commands read."""
    text = _SLURM_CONF.format(**vars(place))
    if place.database is not None:
        text += (
            "AccountingStorageType=accounting_storage/slurmdbd\n"
            "AccountingStorageHost=127.0.0.1\n"
            f"AccountingStoragePort={place.database}\n"
            f"AccountingStoragePass={place.directory}/munge/socket\n"
        )
    last = shape.names[-1]
    for name, port in zip(shape.names, place.daemons, strict=True):
        gpus = f" Gres=gpu:{shape.gpus}" if shape.gpus and name == last else ""
        text += (
            f"NodeName={name} NodeHostname={place.host} NodeAddr=127.0.0.1 Port={port} "
            f"CPUs={shape.cpus} RealMemory={shape.memory}{gpus} State=UNKNOWN\n"
        )
    text += (
        "PartitionName=debug Nodes=n1 Default=NO MaxTime=00:10:00 DefaultTime=00:02:00 State=UP\n"
        f"PartitionName=tiny Nodes={last} Default=NO MaxTime=00:01:00 DefaultTime=00:01:00 State=UP\n"
        f"PartitionName=main Nodes={','.join(shape.names)} Default=YES MaxTime=1-00:00:00 DefaultTime=01:00:00 "
        "State=UP\n"
    )
    (place.directory / "slurm.conf").write_text(text)
    (place.directory / "cgroup.conf").write_text("CgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\n")
    (place.directory / "gres.conf").write_text(_gres(shape))


def _gres(shape: Shape) -> str:
    if not shape.gpus:
        return ""
    return f"NodeName={shape.names[-1]} Name=gpu File={','.join(_DEVICES[: shape.gpus])}\n"
