"""Submits the queued jobs of one run to their sites, as soon as what they need is there or on its way."""

from __future__ import annotations

import threading
from collections.abc import Callable

from daskflow.execution.project import Project
from daskflow.execution.roster import Roster
from daskflow.graph.job import Job
from daskflow.sites import Listener, Site


class Places:
    """The sites of one run.

    Parameters
    ----------
    project
        Has them.
    default
        Name of the site of jobs that name none.
    """

    def __init__(self, project: Project, default: str) -> None:
        self._project = project
        self._default = default
        self._sites: dict[str, Site] = {}

    def of(self, job: Job) -> Site:
        """The site of a job.

        Raises
        ------
        SiteUnknown
        """
        name = job.site or self._default
        site = self._sites.get(name)
        if site is None:
            site = self._sites[name] = self._project.site(name)
        return site

    def claim(self) -> None:
        """Note in the artifact store that results of the project are about to come."""
        self._project.claim()

    def all(self) -> list[Site]:
        """Those that jobs of the run were meant for so far."""
        return list(self._sites.values())


class Dispatcher:
    """Submits the jobs of one run.

    Parameters
    ----------
    roster
        Keeps the jobs.
    places
        The sites of the run.
    lock
        Guards the roster.
    listener
        Whom the sites tell; its `fail` is called when nothing can be submitted any more.
    may_go
        Whether the run goes on; asked with the lock held.
    """

    def __init__(
        self,
        roster: Roster,
        places: Places,
        lock: threading.Condition,
        *,
        listener: Listener,
        may_go: Callable[[], bool],
    ) -> None:
        self._roster = roster
        self._places = places
        self._lock = lock
        self._listener = listener
        self._may_go = may_go
        self._busy = threading.Lock()
        self.paused = False
        """Whether nothing is submitted at the moment."""
        self.due = False
        """Whether something may be submitted that was not looked at yet."""

    def dispatch(self) -> None:
        """Submit those of the held jobs whose upstream values are there or on their way."""
        # One thread at a time, so that shipments leave in the order in which they refer to each other. Whoever comes
        # while another is at it leaves the work to that one: it may take long where the site is synchronous.
        self.due = True
        while self.due and self._busy.acquire(blocking=False):
            try:
                self.due = False
                self._dispatch()
            finally:
                self._busy.release()

    def _dispatch(self) -> None:
        try:
            with self._lock:
                shipments = self._roster.pack() if self._may_go() and not self.paused else []
                self._lock.notify_all()
            if shipments:
                self._places.claim()
            for site, shipment in shipments:
                site.submit(shipment.nodes, shipment.kept, self._listener, shipment.foreign)
        except Exception as error:  # whatever it is, those who wait must hear of it
            self._listener.fail(error)
        except BaseException:
            # Ctrl-C on a synchronous site. Who asks again gets what was not performed.
            with self._lock:
                self._roster.hold(self._roster.flights.recall())
                self.due = True
            raise
        finally:
            with self._lock:
                self._roster.flights.arrived()

    def rest(self) -> None:
        """Let the workers go where nothing is to be performed."""
        for site in self._places.all():
            if not self._roster.held and not self._roster.flights.count(site):
                site.rest()

    def pause(self) -> None:
        """Submit nothing more, and take back what does not run yet."""
        self.paused = True
        with self._lock:
            nodes = self._roster.flights.by_site()
        back = [key for site, keys in nodes.items() for key in site.recall(keys)]
        with self._lock:
            self._roster.retreat(back)

    def resume(self) -> None:
        """Go on."""
        self.paused = False
        self.due = True
