"""The services of a site: batch jobs that people spawn, list, follow and kill by name."""

from __future__ import annotations

import codecs
import difflib
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, overload

from daskflow.errors import ArgumentsInvalid, BatchError, NotFound
from daskflow.sites.batch.service import NAME, Progress, ServiceRecord, ServiceStanding, ServiceState
from daskflow.sites.batch.servicefolder import ServiceFolder, sweep
from daskflow.sites.batch.spawning import Enclose, Spawner, Terms, cancel, forget
from daskflow.sites.batch.standings import Standings
from daskflow.sites.batch.system import BatchSystem

_PATIENCE = 45.0
"""Batch systems give what they kill some time to end by itself [s]."""
_SOON, _LATER = 0.05, 1.0
"""Between two looks at folders [s]."""


class Service:
    """One service; a handle that forgets nothing, since it only knows the name."""

    def __init__(self, services: Services, name: str) -> None:
        self.name = name
        self._services = services

    @property
    def id(self) -> str:
        """Id of its batch job."""
        return self.standing().id

    @property
    def state(self) -> ServiceState:
        """How far it has come."""
        return self.standing().state

    def standing(self) -> ServiceStanding:
        """All that is known of it."""
        return self._services.standing(self.name)

    def logs(self, tail: int | None = None) -> str:
        """What it printed, or the last lines of that."""
        return self._services.logs(self.name, tail)

    def kill(self) -> bool:
        """Kill it; whether it was there to be killed."""
        return self._services.kill(self.name)

    def wait(self, timeout: float | None = None) -> ServiceStanding:
        """Wait until it has ended.

        Raises
        ------
        TimeoutError
            It has not after so long [s].
        """
        self._services.monitor(f"^{re.escape(self.name)}$", timeout=timeout)
        return self.standing()

    def __repr__(self) -> str:
        return f"<Service {self.name} {self.state}>"


class Services:
    """The services of one site.

    Parameters
    ----------
    site
        Name of the site.
    system
        Its batch system.
    terms
        How batch jobs are submitted there.
    keeper
        The module that runs on the node, keeps the limits of a service and notes how it ended.
    enclose
        Checks images.

    Notes
    -----
    Safe for threads, and for processes of one user on any machine that sees the shared directory: a name is given to
    one of them. A service is written down before it is submitted, and its id after that, so that a process that is
    killed in between leaves no batch job of which nobody knows.
    """

    def __init__(
        self, site: str, system: BatchSystem, terms: Terms, *, keeper: str, enclose: Enclose | None = None
    ) -> None:
        self.site = site
        self._system = system
        self._home = os.path.abspath(terms.home)
        self._standings = Standings(system, terms.poll, lambda: ServiceFolder.all(self._home))
        self._spawner = Spawner(site, system, terms, keeper, enclose, self._standings)

    @property
    def silence(self) -> BatchError | None:
        """Why the batch system did not answer when it was asked last; None: it did."""
        return self._standings.silence

    @overload
    def spawn(
        self, command: str | Iterable[str], *, name: str | None = None, count: None = None, **options: Any
    ) -> Service: ...
    @overload
    def spawn(
        self, command: str | Iterable[str], *, name: str | None = None, count: int, **options: Any
    ) -> list[Service]: ...
    def spawn(
        self, command: str | Iterable[str], *, name: str | None = None, count: int | None = None, **options: Any
    ) -> Service | list[Service]:
        """Submit a command as a batch job, or as several, and return at once.

        Parameters
        ----------
        command
            A line for the shell, or a program with its arguments, which no shell sees.
        name
            Unlike that of any service here that waits or runs; by default the program's, with some random digits.
        count
            So many equal services, whose names end in `-0`, `-1` ...; each finds its number as `DASKFLOW_INDEX`.
        **options
            Those of `ServiceOrder`: `cores`, `core_limit`, `memory`, `memory_limit`, `walltime`, `gpus`, `nodes`,
            `tasks`, `env`, `image`, `binds`, `pool`, `queue`, `workdir`.

        Returns
        -------
        Service or list of Service
            The service; a list where a `count` is given.

        Raises
        ------
        ArgumentsInvalid
            An option is unknown or does not fit, or a name is taken.
        FitsNowhere
            No pool of the site holds it.
        BatchError
            The batch system does not take it. Nothing of it runs.
        """
        names = self._spawner.spawn(command, name, count, options)
        found = [Service(self, one) for one in names]
        return found[0] if count is None else found

    def ls(
        self, pattern: str | None = None, states: Iterable[ServiceState | str] | None = None
    ) -> list[ServiceStanding]:
        """How services stand, by their names.

        Parameters
        ----------
        pattern
            Only those in whose names this regular expression is found.
        states
            Only those in these states.
        """
        wanted = None if states is None else _states(states)
        found = self._standings.look(self._matching(pattern))
        return [one for one in found if wanted is None or one.state in wanted]

    def states(self, pattern: str | None = None) -> dict[str, ServiceState]:
        """The states of services by their names."""
        return {one.name: one.state for one in self.ls(pattern)}

    def standing(self, name: str) -> ServiceStanding:
        """How one service stands; NotFound where there is none of exactly this name."""
        found = self._standings.look([ServiceFolder(self._home, name)])
        if not found:
            raise self._unknown(name)
        return found[0]

    def get(self, name: str) -> Service:
        """The service of exactly this name; NotFound where there is none."""
        self._folder(name)
        return Service(self, name)

    def logs(self, name: str, tail: int | None = None) -> str:
        """What the service of exactly this name printed, or the last lines of that."""
        return self._folder(name)[0].tail(tail)

    def follow(self, name: str, tail: int | None = None, *, every: float = _LATER) -> Iterator[str]:
        """What the service of exactly this name prints, until it has ended.

        Parameters
        ----------
        tail
            Of what it printed so far only so many lines.
        every
            Its log is looked at so often [s].
        """
        folder, _ = self._folder(name)
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        place, living = folder.place(tail), True
        while living:
            # Asked first, so that nothing is missed of what it printed at last.
            found = self._standings.look([folder])
            living = bool(found) and found[0].living
            new = folder.printed(place)
            place += len(new)
            yield decoder.decode(new, final=not living)
            if living:
                time.sleep(every)

    def kill(self, name: str) -> bool:
        """Kill the service of exactly this name, and wait until it is dead; its record and log stay.

        Returns
        -------
        bool
            Whether it waited or ran; False: it had ended before.

        Raises
        ------
        NotFound
            There is none of this name.
        BatchError
            The batch system cannot be told. It is noted that the service is to end: it will see that itself.
        """
        folder, _ = self._folder(name)
        if not self._standings.look([folder])[0].living:
            return False
        folder.note_killed()
        trouble = cancel(self._system, [folder])
        if not self._dead(folder, ask=trouble is None) and trouble is not None:
            raise trouble
        return True

    def kill_failed(self, pattern: str | None = None) -> list[str]:
        """Remove the services that failed, with record and log, and kill those that wait for what will never be.

        Returns
        -------
        list
            Their names.
        """
        gone = []
        for one in self.ls(pattern):
            if one.hopeless:
                self.kill(one.name)
            if (one.hopeless or one.state is ServiceState.failed) and self._forget(one.name):
                gone.append(one.name)
        return gone

    def prune(self, pattern: str | None = None, *, failed: bool = False) -> list[str]:
        """Remove record and log of the services that completed or were killed; what waits or runs stays.

        Parameters
        ----------
        failed
            Those that failed too; else they stay, with the logs that tell why.

        Returns
        -------
        list
            Their names.
        """
        sweep(self._home)
        kept = set() if failed else {ServiceState.failed}
        found = [one.name for one in self.ls(pattern) if one.state.final and one.state not in kept]
        return [name for name in found if self._forget(name)]

    def monitor(
        self,
        pattern: str | None = None,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        every: float = _LATER,
        timeout: float | None = None,
    ) -> Progress:
        """Wait until all services have ended, or wait for what will never be.

        Parameters
        ----------
        pattern
            Only those in whose names this regular expression is found.
        on_progress
            Called at first, and whenever the numbers have changed.
        every
            The folders of the services are looked at so often [s]; the batch system is asked less often.

        Raises
        ------
        NotFound
            There is no such service.
        TimeoutError
            Some have not ended after so long [s].
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        last, pause = None, _SOON
        while True:
            progress = Progress.of(self.ls(pattern))
            if not progress.total:
                which = "" if pattern is None else f" whose name matches {pattern!r}"
                raise NotFound(
                    f"The site {self.site!r} has no service{which}. `daskflow batch ls --site {self.site}` lists all."
                )
            if progress != last and on_progress is not None:
                on_progress(progress)
            last = progress
            if progress.done:
                return progress
            if time.monotonic() >= deadline:
                raise TimeoutError(f"Services have not ended after {timeout:g} s: {progress}.")
            time.sleep(min(pause, every, max(0.0, deadline - time.monotonic())))
            pause = min(1.5 * pause, _LATER)

    def __repr__(self) -> str:
        return f"<Services of the site {self.site!r}>"

    def _dead(self, folder: ServiceFolder, *, ask: bool) -> bool:
        """Wait until a service that was told to end has ended."""
        deadline, pause = time.monotonic() + _PATIENCE, _SOON
        # What runs says so when it ends; what has not begun does not, and is gone at once.
        due = time.monotonic() + (4.0 if folder.began() is not None else 0.0)
        while True:
            fresh = ask and time.monotonic() >= due
            found = self._standings.look([folder], fresh=fresh)
            if not found or not found[0].living:
                return True
            if time.monotonic() >= deadline:
                return False
            if fresh:
                # What is told to end in the moment of its start is neither gone at once, nor says that it ends.
                due = time.monotonic() + (10.0 if folder.began() is not None else 1.0)
            time.sleep(pause)
            pause = min(1.5 * pause, _LATER)

    def _folder(self, name: str) -> tuple[ServiceFolder, ServiceRecord]:
        folder = ServiceFolder(self._home, name)
        if not re.fullmatch(NAME, name) or (record := folder.record()) is None:
            raise self._unknown(name)
        return folder, record

    def _forget(self, name: str) -> bool:
        return forget(self._system, ServiceFolder(self._home, name))

    def _unknown(self, name: str) -> NotFound:
        near = difflib.get_close_matches(name, [folder.name for folder in ServiceFolder.all(self._home)], 3)
        hint = f"Did you mean {', '.join(near)}? " if near else ""
        return NotFound(
            f"The site {self.site!r} has no service named {name!r}. {hint}"
            f"`daskflow batch ls --site {self.site}` lists all."
        )

    def _matching(self, pattern: str | None) -> list[ServiceFolder]:
        folders = ServiceFolder.all(self._home)
        if pattern is None:
            return folders
        try:
            wanted = re.compile(pattern)
        except re.error as error:
            raise ArgumentsInvalid(
                f"{pattern!r} is no regular expression: {error}. Write 'fit-.*' for all names with 'fit-' in them."
            ) from None
        return [folder for folder in folders if wanted.search(folder.name)]


def _states(states: Iterable[ServiceState | str]) -> set[ServiceState]:
    try:
        return {ServiceState(state) for state in ([states] if isinstance(states, str) else states)}
    except ValueError as error:
        raise ArgumentsInvalid(f"{error}; there are {', '.join(ServiceState)}.") from None
