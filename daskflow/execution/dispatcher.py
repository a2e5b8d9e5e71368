"""Submits the queued jobs of one run to their sites, as soon as what they need is there or on its way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from daskflow.execution.outages import Outages, SiteEar, bearable
from daskflow.execution.placing import Places
from daskflow.execution.roster import Roster
from daskflow.execution.sending.dispatch import Shipment
from daskflow.sites import Listener, Site, SynchronousSite
from daskflow.stores.liveness import this_host

_LEAVING = 10.0
"""So long a run that ends waits for a site that is just being tried out [s]."""


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
        self._outages = Outages()
        self._ears: dict[Site, SiteEar] = {}
        self._helpers: list[threading.Thread] = []
        roster.barred = self._outages.barred
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
                self._send(site, shipment)
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

    def _send(self, site: Site, shipment: Shipment) -> None:
        """Submit a shipment; what may take long, because nobody knows whether the site is there, beside this thread."""
        with self._lock:
            aside = (
                self._outages.strange(site)
                and not isinstance(site, SynchronousSite)
                and (self._outages.any or len(self._places.all()) > 1)
            )
            if aside:
                self._outages.try_out(site)
        if aside:
            self._beside(partial(self._try, site, shipment))
        else:
            self._submit(site, shipment)

    def _beside(self, action: Callable[[], None]) -> None:
        helper = threading.Thread(target=action, name="daskflow-outage", daemon=True)
        self._helpers = [*[other for other in self._helpers if other.is_alive()], helper]
        helper.start()

    def _try(self, site: Site, shipment: Shipment) -> None:
        try:
            self._submit(site, shipment)
        except Exception as error:  # whatever it is, those who wait must hear of it
            self._listener.fail(error)
        with self._lock:
            over = not self._may_go()
        if over:  # what was let go of meanwhile was not there yet
            site.release(shipment.members)

    def _submit(self, site: Site, shipment: Shipment) -> None:
        try:
            site.submit(shipment.nodes, shipment.kept, self._ear(site), shipment.foreign)
        except Exception as error:
            if not bearable(error):
                raise
            with self._lock:
                delay = self._outages.down(site, error)
            self._hold(site, error, list(shipment.members), delay)
            return
        with self._lock:
            strange = self._outages.strange(site)
            seconds = self._outages.up(site) if strange else None
        if strange:
            self._tell_open(site, seconds)

    def _tell_open(self, site: Site, seconds: float | None) -> None:
        address = site.address()
        if seconds is not None:
            self._tell("site.up", site=site.name, after=round(seconds, 1))
        if address:
            self._tell("site.opened", site=site.name, dashboard=address, host=this_host())

    def _tell(self, kind: str, **data: Any) -> None:
        # The engine's thread looks at everything anew when it hears of it.
        self._listener.tell(kind, json.dumps(data))

    def _ear(self, site: Site) -> SiteEar:
        with self._lock:
            if site not in self._ears:
                self._ears[site] = SiteEar(
                    self._listener, lambda error: self._beside(partial(self._clear, site, error))
                )
            return self._ears[site]

    def _clear(self, site: Site, error: Exception) -> None:
        """A site that was up is down: what it had to perform waits again."""
        with self._lock:
            delay = self._outages.down(site, error)  # nothing more goes there
            keys = self._roster.flights.by_site().get(site, [])
        # It may have forgotten some of them only, and perform the others.
        site.kill(keys)
        self._hold(site, error, keys, delay)

    def _hold(self, site: Site, error: Exception, keys: list[str], delay: float | None) -> None:
        with self._lock:
            for key in keys:
                self._roster.hold(self._roster.flights.lose(key))
        self._tell("site.down", site=site.name, error=f"{type(error).__name__}: {error}", retry=delay)

    @property
    def down(self) -> bool:
        """Whether some site is down."""
        return self._outages.any

    def look_for_end(self) -> None:
        """Where nothing goes on before sites perform something that are down for good, or for long, the run ends."""
        with self._lock:
            if self.paused or not self._outages.any:
                return
            error = self._outages.end(self._roster.next_at(), alone=len(self._places.all()) == 1)
        if error is not None:
            self._listener.fail(error)

    @property
    def patience(self) -> float | None:
        """After which time a site that is down is tried again [s]; None: none is."""
        return None if self.paused else self._outages.patience

    def detach(self) -> None:
        """Leave to themselves the batch jobs that go on without a driver: who resumes the run finds them again."""
        for site, ear in self._ears.items():
            if not site.chains:
                site.leave(ear)

    def leave(self) -> None:
        """Hear no site any more."""
        for helper in self._helpers:
            helper.join(_LEAVING)
        for site, ear in self._ears.items():
            site.leave(ear)

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
