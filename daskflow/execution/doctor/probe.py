"""One small batch job that looks at its node, and reports through the shared directory."""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import secrets
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from daskflow.errors import BatchError, DaskflowError
from daskflow.execution.doctor import node
from daskflow.execution.doctor.door import Door
from daskflow.execution.doctor.patient import Patient
from daskflow.execution.doctor.places import objects_directory, own_address
from daskflow.sites.batch.system import Ask, Examined, Phase, Standing, log_of
from daskflow.sites.pools import Pool
from daskflow.sites.security import make_security

PACKAGES = ("daskflow", "dask", "distributed", "cloudpickle", "numpy")
"""What driver and nodes need in the same versions."""
_WALLTIME = 300.0
_MEMORY = 1 << 30
_LOOK = 0.2
"""The shared directory is looked at so often [s]."""
_FIRST = 5.0
"""After this time the batch system is asked how the job stands [s]; later, as often as the site says."""
_GRACE = 10.0
"""So long after the end of the job its files are looked for [s]."""
_LOG = 800


class Seen(NamedTuple):
    """What became of a probe."""

    id: str = ""
    seconds: float = 0.0
    """From the submission until it began, or until nobody waited any more [s]."""
    reached: str = ""
    """The node where it began."""
    standing: Standing | None = None
    """How it stood at last, by the batch system, if that was asked."""
    stage: str = ""
    """Where the script ended: `prologue`, `python`, `node`; empty: nobody knows."""
    code: int | None = None
    failed: str = ""
    """The line of the prologue that failed."""
    report: dict[str, Any] | None = None
    skew: float | None = None
    """How much the node's clock is ahead of ours [s]; None: it did not reach us."""
    address: str = ""
    """Where it should reach us."""
    certificate: str = ""
    log: str = ""
    """The end of its log."""
    ended: bool = False


def send(patient: Patient, system: Examined, wait: float) -> Seen:
    """Submit a probe to the first pool, and see what becomes of it.

    Parameters
    ----------
    wait
        So long it may wait in its queue [s].

    Raises
    ------
    BatchError
        It cannot be submitted.
    """
    place = Path(patient.plan.home, "checks", secrets.token_hex(8))
    place.mkdir(parents=True, mode=0o700)
    pool = patient.plan.pools[0]
    try:
        with Door(own_address(patient.plan.interface), place.name) as door, _locked(place / "lock"):
            with _object(patient, place) as objects:
                _prepare(patient, place, door, objects)
                ask = _ask(patient, pool, place)
                (id,) = system.submit(system.script(ask, script(patient, system, pool, place)), ask)
                seen = _follow(_Watching(system, id, place, patient.plan.poll), wait)
            return seen._replace(skew=door.skew, address=f"{door.host}:{door.port}", log=_tail(log_of(ask, id)))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _ask(patient: Patient, pool: Pool, place: Path) -> Ask:
    return Ask(
        f"{patient.name}-check",
        1,
        min(pool.memory, _MEMORY),
        min(pool.walltime, _WALLTIME),
        log=str(place / "log"),
        queue=pool.queue,
    )


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """A file that stays locked by this process during the block."""
    with path.open("w+b") as file:
        with suppress(OSError):  # the journal's own check tells of it
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file


@contextmanager
def _object(patient: Patient, place: Path) -> Iterator[str]:
    """A file that tells nodes of an object that they should be able to read; empty where none can be put."""
    store = patient.store
    try:
        digest = "" if store is None else store.put(f"daskflow site check {place.name}".encode())
    except DaskflowError:  # the store's own check tells of it
        digest = ""
    if store is None or not digest:
        yield ""
        return
    path = place / "object.pickle"
    path.touch(0o600)
    path.write_bytes(pickle.dumps((store, digest)))
    try:
        yield str(path)
    finally:
        with suppress(DaskflowError):
            store.remove(digest)


def _prepare(patient: Patient, place: Path, door: Door, objects: str) -> None:
    tls: list[str] = []
    if patient.plan.tls:
        make_security(place / "tls")
        tls = sorted(str(path) for path in (place / "tls").iterdir())
    task = {
        "host": door.host,
        "port": door.port,
        "token": place.name,
        "packages": PACKAGES,
        "objects": objects,
        "patience": 120,
        "scratch": patient.scratch,
        "artifacts": objects_directory(patient.store),
        "lock": str(place / "lock"),
        "tls": tls,
    }
    (place / "task.json").write_text(json.dumps(task))
    shutil.copyfile(node.__file__, place / "node.py")


def script(patient: Patient, system: Examined, pool: Pool, place: Path) -> list[str]:
    """The lines of shell of a probe."""
    here = shlex.quote(str(place))
    python = shlex.quote(patient.plan.python)
    exports = [f"export {name}={shlex.quote(value)}" for name, value in patient.plan.environment.items()]
    return [
        f"cd_to={here}",
        'if ! [ -d "$cd_to" ]; then echo "The node does not see $cd_to" >&2; exit 3; fi',
        f'echo "{system.own_node}" > "$cd_to/reached.new" && mv "$cd_to/reached.new" "$cd_to/reached"',
        "stage=prologue",
        'trap \'code=$?; echo "$stage $code" > "$cd_to/ended.new" && mv "$cd_to/ended.new" "$cd_to/ended"\' EXIT',
        'trap \'echo "$BASH_COMMAND" > "$cd_to/failed"\' ERR',
        "set -e",
        *pool.queue.prologue,
        "set +e",
        "trap - ERR",
        "stage=python",
        *exports,
        f'command -v {python} > /dev/null || {{ echo "There is no "{python} >&2; exit 127; }}',
        "stage=node",
        f'{python} "$cd_to/node.py" "$cd_to"',
    ]


class _Watching:
    """One probe, as it is watched."""

    def __init__(self, system: Examined, id: str, place: Path, poll: float) -> None:
        self.system = system
        self.id = id
        self.place = place
        self.poll = poll
        self.began = time.monotonic()
        self.standing: Standing | None = None
        self.ended_at: float | None = None
        self._next = self.began + _FIRST

    def text(self, name: str) -> str:
        """What stands in a file of the probe; empty where there is none."""
        # On network file systems a new file is seen when its directory is listed.
        with suppress(OSError):
            os.listdir(self.place)
            return (self.place / name).read_text(errors="replace").strip()
        return ""

    def ask(self) -> None:
        """Ask how the job stands, when it is time."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self.poll
        with suppress(BatchError):  # asked again later
            standings = self.system.standings([self.id])
            self.standing = standings.get(self.id)
            if (self.standing is None or self.standing.phase is Phase.ended) and self.ended_at is None:
                self.ended_at = now


def _follow(watching: _Watching, wait: float) -> Seen:
    """Watch a probe until it has reported, or will not any more; what still runs is cancelled."""
    reached, seconds = "", 0.0
    while True:
        now = time.monotonic()
        if not reached and (reached := watching.text("reached")):
            seconds = now - watching.began
        if watching.text("ended") or _is_over(watching, now, reached, wait, seconds):
            break
        watching.ask()
        time.sleep(_LOOK)
    return _seen(watching, reached, seconds or time.monotonic() - watching.began)


def _is_over(watching: _Watching, now: float, reached: str, wait: float, seconds: float) -> bool:
    if watching.ended_at is not None:
        return now > watching.ended_at + _GRACE
    if watching.standing is not None and watching.standing.hopeless:
        return True
    limit = wait if not reached else seconds + _WALLTIME + watching.poll
    return now > watching.began + limit


def _seen(watching: _Watching, reached: str, seconds: float) -> Seen:
    stage, _, code = watching.text("ended").partition(" ")
    report = watching.text("report.json")
    certificate = ""
    if not stage:
        with suppress(BatchError):
            if watching.ended_at is None and watching.standing is None:
                watching.standing = watching.system.standings([watching.id]).get(watching.id)
            watching.system.cancel([watching.id])
            found = watching.system.certificates([watching.id]).get(watching.id)
            certificate = found.text if found is not None else ""
    return Seen(
        watching.id,
        seconds,
        reached,
        watching.standing,
        stage=stage,
        code=int(code) if code.isdigit() else None,
        failed=watching.text("failed"),
        report=json.loads(report) if report else None,
        certificate=certificate,
        ended=bool(stage) or watching.ended_at is not None,
    )


def _tail(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")[-_LOG:].strip()
    except OSError:
        return ""
