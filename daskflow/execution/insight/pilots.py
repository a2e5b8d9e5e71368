"""What the events of a run tell of its sites: the pilots that came and went, and where people can watch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from daskflow.model.records import EventRecord, RunRecord
from daskflow.model.states import RunState
from daskflow.stores.liveness import this_host

_STAGES = {
    "pilot.submitted": "queued",
    "pilot.waiting": "queued",
    "pilot.started": "starting",
    "pilot.arrived": "working",
    "pilot.failed": "failed",
    "pilot.ended": "ended",
}
_OVER = ("failed", "ended")


class PilotLife(NamedTuple):
    """What became of one pilot."""

    id: str
    """Id of its batch job."""
    site: str
    pool: str
    stage: str
    """`queued`, `starting`, `working`, `ended`, or `failed`: it ended before its worker arrived."""
    submitted: float
    """Seconds since the epoch [s]; of the first that was told of it."""
    node: str = ""
    started: float | None = None
    arrived: float | None = None
    ended: float | None = None
    """Seconds since the epoch [s]."""
    reason: str = ""
    """Why it waits, or how it ended."""
    error: str = ""
    """Name of the error class by which it ended."""

    @property
    def waited(self) -> float | None:
        """How long it was in the queue [s]."""
        return None if self.started is None else self.started - self.submitted

    @property
    def worked(self) -> float | None:
        """How long its worker was there [s]; None where it never was, or still is."""
        return None if self.arrived is None or self.ended is None else self.ended - self.arrived


def pilots(events: Iterable[EventRecord]) -> list[PilotLife]:
    """The pilots of which events tell, in the order in which they were submitted."""
    found: dict[tuple[str, str], PilotLife] = {}
    for event in events:
        stage = _STAGES.get(event.kind)
        if stage is None:
            continue
        data = event.data
        place = str(data.get("site", "")), str(data.get("id", ""))
        life = found.get(place)
        if life is None:
            life = PilotLife(place[1], place[0], str(data.get("pool", "")), stage, event.time)
        found[place] = _after(life, stage, event)
    return list(found.values())


def _after(life: PilotLife, stage: str, event: EventRecord) -> PilotLife:
    data = event.data
    changed = life._replace(node=str(data.get("node") or life.node), reason=str(data.get("reason", "")))
    if stage == "starting":
        return changed._replace(stage=stage, started=event.time)
    if stage == "working":
        return changed._replace(stage=stage, arrived=event.time, started=life.started or event.time)
    if stage not in _OVER:
        return changed._replace(stage=stage)
    # The end of a pilot that failed is told once more.
    stage = "failed" if "failed" in (stage, life.stage) else stage
    return changed._replace(stage=stage, ended=life.ended or event.time, error=str(data.get("error", "")))


class Dashboard(NamedTuple):
    """Where people can watch one site compute."""

    site: str
    address: str
    """URL, as it is seen on the host of the driver."""
    host: str
    """Where the driver runs."""

    @property
    def far(self) -> bool:
        """Whether the driver runs on another host than the one where that is asked."""
        return self.host != this_host()

    def tunnel(self, user: str) -> str:
        """The command that brings the dashboard to the user's own machine, to be entered there."""
        url = urlsplit(self.address)
        return f"ssh -N -L {url.port}:{url.hostname}:{url.port} {user}@{self.host}"

    @property
    def nearby(self) -> str:
        """The address by which it is seen through the tunnel."""
        url = urlsplit(self.address)
        return f"{url.scheme}://localhost:{url.port}{url.path}"


def dashboards(record: RunRecord, events: Sequence[EventRecord]) -> list[Dashboard]:
    """Where people can watch the sites of a run that is performed now; nothing of one that is not."""
    if record.state not in (RunState.running, RunState.paused):
        return []
    opened = [event for event in events if event.kind == "site.opened" and event.time >= (record.started or 0.0)]
    found = {event.data["site"]: event.data for event in opened if event.data.get("dashboard")}
    return [Dashboard(site, data["dashboard"], data["host"]) for site, data in found.items()]
