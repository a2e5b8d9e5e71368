"""OAR."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from daskflow.errors import BatchRefused, BatchSilent
from daskflow.sites.batch.calls import call
from daskflow.sites.batch.grid import in_portions, log_path, quoted
from daskflow.sites.batch.scripts import clock, directives, header, joined, plain_name
from daskflow.sites.batch.system import Ask, Certificate, Limits, Phase, Standing

# see https://oar.imag.fr/docs/latest/ and https://manpages.ubuntu.com/manpages/noble/en/man1/oarstat.1.html
_PENDING = ("Waiting", "Hold", "toLaunch", "toAckReservation", "Launching")
_ENDED = ("Terminated", "Error", "toError")
# The events of a job that tell why it ended; those of its end by somebody come with others, hence their order.
_EVENTS = {
    "WALLTIME": "WalltimeExceeded",
    "BESTEFFORT_KILL": "Preempted",
    "SWITCH_INTO_ERROR_STATE": "NodeFailure",
    "PING_CHECKER_NODE_SUSPECTED": "NodeFailure",
    "FRAG_JOB_REQUEST": "Cancelled",
}
_GONE = re.compile(r"not found|already killed|already (finished|terminated)|was already|^exit code")


class Oar:
    """The batch system OAR.

    References
    ----------
    https://oar.imag.fr/docs/latest/
    """

    name = "oar"
    commands: tuple[str, ...] = ("oarsub", "oarstat", "oardel")
    own_id = "$OAR_JOB_ID"
    own_node = "$(hostname)"
    launch = "mpirun"

    def __init__(self, *, memory: str = "", timeout: float = 60.0) -> None:
        self._memory = memory
        self._timeout = timeout

    def __eq__(self, other: object) -> bool:
        """Whether one query serves both."""
        return isinstance(other, Oar) and (self._memory, self._timeout) == (other._memory, other._timeout)

    def __hash__(self) -> int:
        return hash((Oar, self._memory, self._timeout))

    def script(self, ask: Ask, body: Sequence[str]) -> str:
        """The job script: its head, and lines of shell."""
        extra = directives("#OAR", ask.queue.directives)
        properties = [_bare(line.partition("-p ")[2].strip()) for line in extra if line.startswith("#OAR -p ")]
        properties += [f"host NOT IN ({', '.join(repr(node) for node in ask.avoid)})"] if ask.avoid else []
        if self._memory:
            properties.append(f"{self._memory}>={-(-ask.memory // (ask.cores * 2**20))}")
        head = header(
            "oar",
            ask._replace(name=plain_name(ask.name)),
            queue=ask.queue.queue,
            project=ask.queue.account,
            resource_spec=f"/nodes={ask.nodes}/" + (f"gpu={ask.gpus}" if ask.gpus else f"core={ask.cores}"),
            walltime=clock(ask.walltime),
        )
        log = quoted(log_path(ask, "%jobid%"))
        head += [f"#OAR -O {log}", f"#OAR -E {log}"]
        head += [f"#OAR --array {ask.count}"] if ask.count > 1 else []
        head += [f"#OAR --checkpoint {round(ask.warn)} --signal 10"] if ask.warn else []
        head += ["#OAR -t idempotent"] if ask.requeue else []
        # OAR heeds one line of properties only.
        head += ['#OAR -p "' + " AND ".join(properties) + '"'] if properties else []
        return joined([*head, *(line for line in extra if not line.startswith("#OAR -p "))], body)

    def submit(self, script: str, ask: Ask) -> list[str]:
        """Submit `ask.count` jobs by one call; their ids."""
        lines = script.splitlines()
        options = [
            word for line in lines if line.startswith("#OAR ") for word in shlex.split(line.removeprefix("#OAR "))
        ]
        # The text itself: as a file it would have to be there when the job begins.
        body = "\n".join(line for line in lines if not line.startswith("#"))
        answer = self._call("oarsub", *options, body)
        ids = re.findall(r"^OAR_JOB_ID=(\d+)", answer, flags=re.MULTILINE)
        if len(ids) != ask.count:
            raise BatchRefused(f"oarsub gave no id of a job, but {answer!r}. Look at queue and limits of the site.")
        return ids

    def standings(self, ids: Iterable[str]) -> Mapping[str, Standing]:
        """How jobs stand."""
        return {id: stood(id, fields) for id, fields in self._jobs(ids).items()}

    def certificates(self, ids: Iterable[str]) -> Mapping[str, Certificate]:
        """How jobs ended."""
        jobs = self._jobs(ids)
        return {id: certified(id, fields) for id, fields in jobs.items() if fields.get("state") in _ENDED}

    def _jobs(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for some in in_portions(ids):
            # By a condition: `-j` fails for ids that OAR does not know.
            answer = self._call("oarstat", "-J", "-f", "--sql", f"job_id IN ({','.join(some)})", pardon=_GONE)
            found |= {id: fields for id, fields in read_json(answer).items() if id in some}
        return found

    def cancel(self, ids: Iterable[str]) -> None:
        """Cancel jobs."""
        for some in in_portions(ids):
            self._call("oardel", *some, pardon=_GONE)

    def limits(self) -> Sequence[Limits]:
        """Nothing: OAR decides by rules that it does not tell."""
        return []

    def alive(self) -> None:
        """See whether the server answers."""
        self._call("oarstat", "-J", "--sql", "job_id IN (0)", pardon=_GONE)

    def rehearse(self, script: str) -> None:
        """OAR tells only of what is submitted."""
        self.alive()

    def _call(self, *argv: str, pardon: re.Pattern[str] | None = None) -> str:
        return call(argv, timeout=self._timeout, pardon=pardon)


def _bare(text: str) -> str:
    """A text without the quotes around all of it."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def read_json(text: str) -> dict[str, dict[str, Any]]:
    """What oarstat tells of jobs, by their ids; it says nothing at all where there are none."""
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BatchSilent(f"The answer of oarstat cannot be read: {error}. It is asked again later.") from error
    return found if isinstance(found, dict) else {}


def stood(id: str, fields: Mapping[str, Any]) -> Standing:
    """How a job stands, from what oarstat tells of it."""
    state = str(fields.get("state", ""))
    phase = Phase.pending if state in _PENDING else Phase.ended if state in _ENDED else Phase.running
    start = _number(fields.get("startTime"))
    walltime = _number(fields.get("walltime"))
    end = start + walltime if start and walltime else None
    pending = phase is Phase.pending
    return Standing(
        id,
        phase,
        state,
        str(fields.get("message") or "") if pending else "",
        ",".join(fields.get("assigned_network_address") or ()),
        str(fields.get("name") or ""),
        None if pending else start,
        None if pending else end,
    )


def certified(id: str, fields: Mapping[str, Any]) -> Certificate:
    """How a job ended, from what oarstat tells of it."""
    # The status of wait(2), as OAR notes it down.
    status = int(_number(fields.get("exit_code")) or 0)
    code, number = status >> 8, status & 0x7F
    events = [str(event.get("type", "")) for event in fields.get("events") or () if isinstance(event, dict)]
    told = next((error for word, error in _EVENTS.items() if word in events), "")
    failed = status != 0 or fields.get("state") != "Terminated"
    return Certificate(
        id,
        told or ("WorkerLost" if failed else ""),
        str(fields.get("state", "")),
        code,
        number or None,
        ",".join(fields.get("assigned_network_address") or ()),
        _number(fields.get("startTime")),
        _number(fields.get("stopTime")),
        reason=", ".join(word for word in _EVENTS if word in events),
    )


def _number(value: Any) -> float | None:
    try:
        return float(value) or None
    except (TypeError, ValueError):
        return None
