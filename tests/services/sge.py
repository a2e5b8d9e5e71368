"""A real Grid Engine on one machine, from Debian's packages: one node, a root of its own, without systemd."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.daemons import Daemons
from tests.services.ports import free_ports

INSTALL = "apt-get install --no-install-recommends gridengine-master gridengine-exec gridengine-client"
QUEUE, PARALLEL = "all.q", "smp"
"""The queue, and the parallel environment of its jobs with several cores."""
_PROGRAMS = Path("/usr/lib/gridengine")
_SHARED = Path("/usr/share/gridengine")
_PATIENCE = 120.0
_PAUSE = threading.Event()
"""Never set: it is what waiting waits for."""

_BOOTSTRAP = """\
admin_user none
default_domain none
ignore_fqdn true
spooling_method berkeleydb
spooling_lib libspoolb
spooling_params {directory}/spool/db
binary_path {programs}
qmaster_spool_dir {directory}/spool/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""
_HOST = """\
hostname {host}
load_scaling NONE
complex_values NONE
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
"""
_PARALLEL = """\
pe_name smp
slots 999
user_lists NONE
xuser_lists NONE
start_proc_args /bin/true
stop_proc_args /bin/true
allocation_rule $pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
"""
_CONFIGURATION = {
    "min_uid": "0",
    "min_gid": "0",
    "execd_spool_dir": "{directory}/spool/execd",
    # A kill because of a limit, and what qacct knows, as soon as can be.
    "load_report_time": "00:00:02",
    "reporting_params": (
        "accounting=true reporting=false flush_time=00:00:01 accounting_flush_time=00:00:00 "
        "joblog=false sharelog=00:00:00"
    ),
}
_SCHEDULER = {"schedule_interval": "0:0:1", "flush_submit_sec": "1", "flush_finish_sec": "1"}
_QUEUE = {
    "qname": QUEUE,
    "hostlist": "@allhosts",
    "slots": "{slots}",
    "pe_list": PARALLEL,
    "shell": "/bin/bash",
    # A busy machine must not make it refuse jobs.
    "load_thresholds": "NONE",
}


def missing() -> list[str]:
    """The programs that this machine lacks."""
    programs = ("sge_qmaster", "sge_execd", "qsub", "spoolinit")
    return [program for program in programs if not (_PROGRAMS / program).exists()]


class Sge:
    """A Grid Engine that runs.

    Parameters
    ----------
    directory
        Where it keeps everything, its `SGE_ROOT` as well.
    slots
        How many cores its node has, whatever the machine has.
    """

    def __init__(self, directory: Path, slots: int = 8) -> None:
        self.directory = directory.absolute()
        self.slots = slots
        self.host = socket.gethostname().partition(".")[0]
        qmaster, execd = free_ports(2)
        self.env = {
            "SGE_ROOT": str(self.directory / "root"),
            "SGE_CELL": "default",
            "SGE_QMASTER_PORT": str(qmaster),
            "SGE_EXECD_PORT": str(execd),
        }
        """What a process needs to talk to it."""
        (self.directory / "log").mkdir(parents=True, exist_ok=True)
        # SGE_ND keeps its daemons in the foreground.
        self._daemons = Daemons(self.directory / "log", {**self._environment(), "SGE_ND": "true"})

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SGE_")}
        libraries = f"{_PROGRAMS}:{inherited.get('LD_LIBRARY_PATH', '')}".rstrip(":")
        return {**inherited, **self.env, "LD_LIBRARY_PATH": libraries}

    def start(self) -> None:
        """Start its daemons, and wait until the queue takes jobs."""
        self._lay_out()
        self._daemons.start("qmaster", [_PROGRAMS / "sge_qmaster"])
        self._wait("qmaster", lambda: bool(self.run("qconf", "-sss")))
        self._configure()
        self._daemons.start("execd", [_PROGRAMS / "sge_execd"])
        # Its load is known once its daemon has spoken.
        self._wait("execd", lambda: " - " not in self.run("qhost", "-h", self.host).splitlines()[-1].split("lx-")[-1])

    def close(self) -> None:
        """Stop everything, jobs too."""
        self._daemons.close()

    def activate(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process, and those that it starts, talk to this one."""
        for name, value in self.env.items():
            monkeypatch.setenv(name, value)

    def run(self, program: str, *arguments: str, input: str | None = None) -> str:
        """What a program says, for instance `qstat`.

        Raises
        ------
        RuntimeError
            It failed; with what it said about it.
        """
        command = [str(_PROGRAMS / program), *arguments]
        answer = subprocess.run(
            command, input=input, text=True, capture_output=True, check=False, env=self._environment()
        )
        if answer.returncode:
            raise RuntimeError(f"{program}: {answer.stderr.strip() or answer.stdout.strip() or answer.returncode}")
        return answer.stdout

    def clear(self) -> None:
        """Delete all jobs, and wait until there are none: for the next test."""
        if self.run("qstat", "-u", "*"):
            self.run("qdel", "-f", "-u", "*")
            self._wait("qmaster", lambda: not self.run("qstat", "-u", "*"))

    def _lay_out(self) -> None:
        """Make its root, as the packages do for the one of the system."""
        common = self.directory / "root" / "default" / "common"
        common.mkdir(parents=True)
        for name in ("db", "qmaster/job_scripts", "execd"):
            (self.directory / "spool" / name).mkdir(parents=True)
        (self.directory / "root" / "util").symlink_to(_SHARED / "util")
        architecture = self.run(str(_SHARED / "util" / "arch")).strip()
        for name in ("bin", "lib", "utilbin"):
            (self.directory / "root" / name).mkdir()
            (self.directory / "root" / name / architecture).symlink_to(_PROGRAMS)
        (common / "bootstrap").write_text(_BOOTSTRAP.format(directory=self.directory, programs=_PROGRAMS))
        (common / "act_qmaster").write_text(f"{self.host}\n")
        # 127.0.0.1 has several names, of which the daemons must know that they are one.
        (common / "host_aliases").write_text(f"{' '.join([self.host, *_names_of_loopback(self.host)])}\n")
        self.run("spoolinit", "berkeleydb", "libspoolb", str(self.directory / "spool" / "db"), "init")
        for kind, given in (
            ("configuration", str(_SHARED / "default-configuration")),
            ("complexes", str(_SHARED / "util" / "resources" / "centry")),
            ("usersets", str(_SHARED / "util" / "resources" / "usersets")),
            ("managers", "root"),
        ):
            self.run("spooldefaults", kind, given)

    def _configure(self) -> None:
        self._feed("-Mconf", "global", _changed(self.run("qconf", "-sconf"), self._filled(_CONFIGURATION)))
        self._feed("-Msconf", "scheduler", _changed(self.run("qconf", "-ssconf"), _SCHEDULER))
        self.run("qconf", "-as", self.host)
        self._feed("-Ae", "host", _HOST.format(host=self.host))
        self._feed("-Ahgrp", "group", f"group_name @allhosts\nhostlist {self.host}\n")
        self._feed("-Ap", "parallel", _PARALLEL)
        self._feed("-Aq", "queue", _changed(self.run("qconf", "-sq"), self._filled(_QUEUE)))

    def _filled(self, changes: dict[str, str]) -> dict[str, str]:
        known = {"directory": self.directory, "slots": self.slots}
        return {name: value.format(**known) for name, value in changes.items()}

    def _feed(self, order: str, name: str, text: str) -> None:
        path = self.directory / name
        path.write_text(text)
        said = self.run("qconf", order, str(path))
        assert "denied" not in said, said

    def _wait(self, name: str, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + _PATIENCE
        why = "it has ended"
        while self._daemons.running(name) and time.monotonic() < until:
            try:
                if condition():
                    return
                why = "it does not get ready"
            except RuntimeError as error:
                why = str(error)
            _PAUSE.wait(0.1)
        raise RuntimeError(f"{name} of Grid Engine: {why}\n{self._daemons.log(name)}")


@contextmanager
def running(directory: Path, slots: int = 8) -> Iterator[Sge]:
    """A Grid Engine for the length of a block, in a new directory.

    Raises
    ------
    RuntimeError
        A program is missing, or does not start.
    """
    if lacking := missing():
        raise RuntimeError(f"there is no {', '.join(lacking)} here: {INSTALL}")
    system = Sge(directory, slots)
    try:
        system.start()
        yield system
    finally:
        system.close()


def _changed(text: str, changes: dict[str, str]) -> str:
    """A configuration of Grid Engine with other values."""
    joined = text.replace("\\\n", " ")
    for name, value in changes.items():
        joined = re.sub(rf"(?m)^{name}\s.*$", f"{name} {value}", joined)
    return joined


def _names_of_loopback(host: str) -> list[str]:
    lines = [line.partition("#")[0].split() for line in Path("/etc/hosts").read_text().splitlines()]
    names = [name for line in lines if line and line[0] == "127.0.0.1" for name in line[1:]]
    return [name for name in dict.fromkeys(names) if name != host]
