"""Facts that conditions are made of: about jobs, runs, clocks and sites."""

from __future__ import annotations

import contextlib
import datetime
import math
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, Literal

from daskflow.errors import ConditionMisused, DaskflowError
from daskflow.graph.conditions import Condition, Fact, short
from daskflow.graph.host import CURRENT_HOST, Host
from daskflow.model.policy import Resources
from daskflow.model.states import JobState, RunState

Wanted = Literal["succeeded", "failed", "finished"]
_LOOKED_EVERY = 2.0  # an object storage is asked, perhaps far away [s]
_ASKED_EVERY = 0.5  # sites are asked, which costs more than a look at a job [s]
_LONGEST_SLEEP = 3600.0


def _reached(state: JobState | RunState, wanted: Wanted) -> bool | None:
    if not state.final:
        return None
    return wanted == "finished" or (state in ("succeeded", "cached") if wanted == "succeeded" else state == "failed")


class JobFact(Fact):
    """How a job ended: `job.succeeded`, `job.failed`, `job.finished`."""

    __slots__ = ("job", "wanted")

    def __init__(self, job: Any, wanted: Wanted) -> None:
        self.job = job
        self.wanted = wanted

    @property
    def identity(self) -> Hashable:
        """Equal for facts that are always decided alike."""
        return ("job", self.job.key, self.wanted)

    def truth(self) -> bool | None:
        """Whether the job ended like this; None while it is not final."""
        return _reached(self.job.state, self.wanted)

    def begin(self) -> None:
        """Give a job that belongs to no run to the one that is kept for such jobs."""
        host_of(self.job)

    def settle(self, timeout: float | None) -> None:
        """Block until the job is final."""
        host_of(self.job).wait(self.job, timeout)

    def told(self) -> str:
        """What became of the job."""
        return f"{short(self.job.key)} {past(self.job.state)}"

    def spelled(self) -> list[Condition | str]:
        """The text in pieces."""
        return [f"{short(self.job.key)}.{self.wanted}"]


class RunFact(Fact):
    """How a run ended: `run.succeeded`, `run.failed`, `run.finished`.

    One that was interrupted ends only when its parent, or it alone, is resumed: until then none of these holds.
    """

    __slots__ = ("run", "wanted")

    def __init__(self, run: Any, wanted: Wanted) -> None:
        self.run = run
        self.wanted = wanted

    @property
    def identity(self) -> Hashable:
        """Equal for facts that are always decided alike."""
        return ("run", self.run.id, self.wanted)

    def truth(self) -> bool | None:
        """Whether the run ended like this; None while it has no end."""
        return False if self._interrupted else _reached(self.run.state, self.wanted)

    @property
    def _interrupted(self) -> bool:
        return bool(self.run.ended) and not self.run.state.final

    def settle(self, timeout: float | None) -> None:
        """Block until the run has ended."""
        if not self.run.wait(timeout):
            raise TimeoutError(f"{self.text()} was not decided within {timeout:g} s.")

    def told(self) -> str:
        """What became of the run."""
        return f"run {self.run.id} {past(self.run.state)}"

    def spelled(self) -> list[Condition | str]:
        """The text in pieces."""
        return [f"{self.run.id}.{self.wanted}"]


class TimeFact(Fact):
    """That a point in time has come; made by `at(...)`."""

    __slots__ = ("due",)

    def __init__(self, when: datetime.datetime) -> None:
        self.due = when.timestamp()
        """Seconds since the epoch [s]."""

    @property
    def identity(self) -> Hashable:
        """Equal for facts that are always decided alike."""
        return ("time", self.due)

    def truth(self) -> bool | None:
        """True from that time on."""
        return True if time.time() >= self.due else None

    def settle(self, timeout: float | None) -> None:
        """Sleep until then."""
        until_decided(self, timeout, lambda left: time.sleep(min(left, self._left(), _LONGEST_SLEEP)))

    def _left(self) -> float:
        # Never quite nothing: the two clocks do not run alike.
        return max(self.due - time.time(), 0.001)

    def told(self) -> str:
        """That it is later now."""
        return f"it is past {self._shown()}"

    def spelled(self) -> list[Condition | str]:
        """The text in pieces."""
        return [f"at({self._shown()})"]

    def _shown(self) -> str:
        return datetime.datetime.fromtimestamp(self.due).astimezone().isoformat(" ", "seconds")


class ToldFact(Fact):
    """A fact that somebody else finds to be true, and then says so."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = threading.Event()

    def hold(self) -> None:
        """Say that it is true, once and for all."""
        self._held.set()

    def truth(self) -> bool | None:
        """True once somebody said so."""
        return True if self._held.is_set() else None

    def settle(self, timeout: float | None) -> None:
        """Block until somebody says so."""
        if not self._held.wait(timeout):
            raise TimeoutError(f"{self.text()} was not decided within {timeout:g} s.")


class AvailableFact(ToldFact):
    """That a site had room for what a job needs; made by `available(...)`. True for good once it was so."""

    __slots__ = ("probe", "resources", "site")

    def __init__(self, site: str, resources: Resources) -> None:
        super().__init__()
        self.site = site
        """Name of the site."""
        self.resources = resources
        self.probe: Callable[[str, Resources], bool] | None = None
        """Tells whether a site has room now; given by the run that evaluates."""

    def ask(self) -> None:
        """Ask the site; to be called without locks."""
        self.begin()
        if not self._held.is_set() and self.probe is not None and self.probe(self.site, self.resources):
            self.hold()

    def begin(self) -> None:
        """Have the current run say how the site is asked.

        Raises
        ------
        ConditionMisused
            There is no run here.
        """
        if self.probe is not None or self._held.is_set():
            return
        host = CURRENT_HOST.get()
        if host is None:
            raise ConditionMisused(
                f"{self.text()} can only be asked in the body of a flow. Give it to a call as `when=`."
            )
        host.watch(self)

    def settle(self, timeout: float | None) -> None:
        """Block until the site had room."""

        def pause(left: float) -> None:
            self.ask()
            self._held.wait(min(left, _ASKED_EVERY))

        until_decided(self, timeout, pause)

    def told(self) -> str:
        """That there was room."""
        return f"{self.site} had room"

    def spelled(self) -> list[Condition | str]:
        """The text in pieces."""
        needs = [f"{name}={value!r}" for name, value in self.resources.model_dump(exclude_defaults=True).items()]
        return [f"available({self.site!r}, Resources({', '.join(needs)}))"]


class ExistsFact(AvailableFact):
    """That something is there, such as an artifact; made by `available(...)`. True for good once it was so."""

    __slots__ = ("_asked", "thing")

    def __init__(self, thing: Any) -> None:
        super().__init__("", Resources.model_construct())
        self.thing = thing
        """What says by `exists()` whether it is there."""
        self._asked = -math.inf

    def ask(self) -> None:
        """Look whether it is there, unless that was just done; to be called without locks."""
        now = time.monotonic()
        if self._held.is_set() or now - self._asked < _LOOKED_EVERY:
            return
        self._asked = now
        # A store that does not answer may do so the next time.
        with contextlib.suppress(DaskflowError):
            if self.thing.exists():
                self.hold()

    def begin(self) -> None:
        """It can be asked anywhere."""

    def told(self) -> str:
        """That it was there."""
        return f"{self.thing!r} was there"

    def spelled(self) -> list[Condition | str]:
        """The text in pieces."""
        return [f"available({self.thing!r})"]


def at(when: datetime.datetime | str) -> TimeFact:
    """The condition that a point in time has come.

    Parameters
    ----------
    when
        A datetime, or its ISO 8601 text: `"2026-01-31T22:00"`. Without a time zone it is local time.

    Raises
    ------
    ConditionMisused
        It is no point in time.
    """
    try:
        return TimeFact(datetime.datetime.fromisoformat(when) if isinstance(when, str) else when)
    except (AttributeError, OSError, OverflowError, ValueError):
        raise ConditionMisused(
            f"at({when!r:.100}) is no point in time. Give a datetime or text such as '2026-01-31T22:00'."
        ) from None


def available(site: Any, resources: Resources | None = None) -> AvailableFact:
    """The condition that a site has had room for what a job needs, or that an artifact was there.

    Parameters
    ----------
    site
        Name of a site; or an `Artifact`, which somebody else may upload meanwhile.
    resources
        What the site has to have room for; None: for one core.

    Raises
    ------
    ConditionMisused
        It is neither a site's name nor an artifact, or not asked for `Resources`.
    """
    if resources is None and callable(getattr(site, "exists", None)):
        return ExistsFact(site)
    wanted = Resources() if resources is None else resources
    if not isinstance(site, str) or not isinstance(wanted, Resources):
        raise ConditionMisused(
            f"available({site!r:.100}, {resources!r:.100}): give a site's name and `Resources(cores=4)`, or an "
            "artifact."
        )
    return AvailableFact(site, wanted)


def host_of(job: Any) -> Host:
    """The run of a job; one that belongs to none is given to the one that is kept for such jobs."""
    host: Host = job.host or job.task.launcher_of(job).adopt(job)
    return host


def past(state: str) -> str:
    """How a final state is told in a sentence."""
    return {"cached": "was known already", "skipped": "was skipped", "cancelled": "was cancelled"}.get(
        state, str(state)
    )


def until_decided(fact: Fact, timeout: float | None, pause: Callable[[float], object]) -> None:
    """Pause until a fact is decided.

    Parameters
    ----------
    timeout
        How long to wait [s]; None waits for ever.
    pause
        Waits for something, not longer than the given time [s].

    Raises
    ------
    TimeoutError
        It was not decided in time.
    """
    end = math.inf if timeout is None else time.monotonic() + timeout
    while fact.truth() is None:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"{fact.text()} was not decided within {timeout:g} s.")
        pause(left)
