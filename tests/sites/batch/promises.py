"""What every batch system promises, tried on real ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from daskflow.sites.batch.system import Ask, BatchSystem, Certificate, Phase, Standing, log_of
from daskflow.sites.pools import Queue
from tests.execution.patience import until

PATIENCE = 120.0
"""[s]"""


def ask(name: str, directory: Path, **more: object) -> Ask:
    """What a small job asks for."""
    given: dict[str, object] = {
        "cores": 1,
        "memory": 200 * 2**20,
        "walltime": 300.0,
        "log": str(directory / f"{name}-%s.log"),
    }
    return Ask(f"B-{name}", **(given | more))  # type: ignore[arg-type]


def submit(system: BatchSystem, wanted: Ask, *body: str) -> list[str]:
    return system.submit(system.script(wanted, body), wanted)


def standing(system: BatchSystem, id: str) -> Standing | None:
    return system.standings([id]).get(id)


def running(system: BatchSystem, id: str) -> bool:
    found = standing(system, id)
    return found is not None and found.phase is Phase.running


def certificate(system: BatchSystem, id: str) -> Certificate:
    """How a job ended, as soon as the system tells."""
    found: dict[str, Certificate] = {}
    until(lambda: found.update(system.certificates([id])) or found, PATIENCE)
    return found[id]


def ended(system: BatchSystem, ids: list[str]) -> Mapping[str, Certificate]:
    """How jobs ended, as soon as the system tells of all."""
    found: dict[str, Certificate] = {}
    until(lambda: found.update(system.certificates(ids)) or len(found) == len(ids), PATIENCE)
    return found


def log(wanted: Ask, id: str, text: str) -> None:
    """Wait until a text is in the log of a job."""
    path = Path(log_of(wanted, id))
    until(lambda: path.exists() and text in path.read_text(), PATIENCE)


def tells_its_own_id_and_node(system: BatchSystem, directory: Path, queue: str = "") -> None:
    """A job knows itself by the name that `submit` gave it."""
    wanted = ask("own", directory, queue=Queue(queue))
    (id,) = submit(system, wanted, f'own="{system.own_id}"', f'echo "<$own> on {system.own_node}."')
    log(wanted, id, f"<{id}> on ")
    found = certificate(system, id)
    assert (found.id, found.error) == (id, "")


def performs_an_array(system: BatchSystem, directory: Path) -> None:
    """Equal jobs have ids and logs of their own."""
    wanted = ask("array", directory, count=3)
    ids = submit(system, wanted, f'echo "<{system.own_id}>"')
    assert len(set(ids)) == 3
    for id in ids:
        log(wanted, id, f"<{id}>")
    assert {found.error for found in ended(system, ids).values()} == {""}


def tells_of_failure(system: BatchSystem, directory: Path) -> None:
    """The exit code of the script is in the certificate."""
    (id,) = submit(system, ask("fails", directory), "exit 3")
    found = certificate(system, id)
    assert (found.error, found.exit_code) == ("WorkerLost", 3)
    assert "exit code 3" in found.text


def cancels(system: BatchSystem, directory: Path) -> Certificate:
    """A job that runs can be cancelled, together with ids of which nothing is known; twice."""
    wanted = ask("cancelled", directory)
    (id,) = submit(system, wanted, "echo began", "sleep 600")
    log(wanted, id, "began")
    assert running(system, id)
    assert system.certificates([id]) == {}
    system.cancel([id, UNKNOWN[system.name]])
    found = certificate(system, id)
    system.cancel([id])
    return found


UNKNOWN = {"local": "12", "slurm": "99999999", "sge": "9999999", "pbs": "9999999"}


def knows_nothing_of_others(system: BatchSystem) -> None:
    """Ids that the system never heard of are missing from answers, and no error."""
    unknown = UNKNOWN[system.name]
    assert system.standings([unknown]) == {}
    assert system.certificates([unknown]) == {}
    assert system.standings([]) == {}
    assert system.certificates([]) == {}
    system.cancel([])
