"""Keeps what the sites perform now: which jobs each node holds, and when its site may forget it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from daskflow.execution.sending.bundles import Group
from daskflow.execution.sending.dispatch import Shipment
from daskflow.graph.job import Collection, Job
from daskflow.sites import Site


class _Flight:
    """One node that a site performs."""

    __slots__ = ("group", "left", "site")

    def __init__(self, site: Site, group: Group) -> None:
        self.site = site
        self.group = group
        self.left = len(group)
        """How many of its jobs are not final."""


class Flights:
    """The nodes that the sites perform for one run.

    Notes
    -----
    Not safe for threads: its engine calls it with its lock held. Shipments are submitted without that lock, after
    `depart` and before `arrived`; what a site was told to forget between would make it lose nodes that refer to it.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, _Flight] = {}
        self._node_of: dict[str, str] = {}
        self._kept: dict[str, str] = {}
        self._pinned: set[str] = set()
        self._late: list[tuple[Site, str]] = []
        self._departing: list[tuple[Site, Shipment]] = []
        self._over = False

    @property
    def kept(self) -> Mapping[str, str]:
        """The nodes that later ones may refer to, by the key of their only job."""
        return self._kept

    def reaches(self, up: Job | Collection, site: Site, going: Mapping[str, Site]) -> bool:
        """Whether a node at a site can refer to an upstream value: it is there, or that site performs what gives it.

        Parameters
        ----------
        going
            The sites of the jobs that depart now, by key.
        """
        if not isinstance(up, Job) or up.state.final:
            return True
        if not site.chains:
            return False
        if up.key in going:
            return going[up.key] is site
        node = self._kept.get(up.key)
        return node is not None and self._nodes[node].site is site

    def depart(self, site: Site, shipment: Shipment) -> None:
        """A shipment is about to be submitted."""
        self._pinned.update(up for node in shipment.nodes for up in node.upstream if up in self._nodes)
        self._departing.append((site, shipment))
        kept = set(shipment.kept)
        for key, group in shipment.members.items():
            self._nodes[key] = _Flight(site, group)
            self._node_of.update((job.key, key) for job in group)
            if len(group) == 1 and key in kept:
                self._kept[group[0].key] = key

    def arrived(self) -> None:
        """Everything that departed was submitted, or never will be."""
        departed, self._departing = self._departing, []
        late, self._late = self._late, []
        self._pinned.clear()
        for site, key in late:
            site.release([key])
        if self._over:
            for site, shipment in departed:
                site.release(shipment.members)

    def land(self, job: Job) -> None:
        """A job needs its node no more; when all jobs of the node are final, nor does the site."""
        self._kept.pop(job.key, None)
        key = self._node_of.pop(job.key, "")
        flight = self._nodes.get(key)
        if flight is None:
            return
        flight.left -= 1
        if not flight.left:
            del self._nodes[key]
            self._release(flight.site, key)

    def lose(self, key: str) -> list[Job]:
        """A node will not be performed any more: its jobs that are not final."""
        flight = self._nodes.pop(key, None)
        if flight is None:
            return []
        left = [job for job in flight.group if not job.state.final]
        for job in left:
            self._kept.pop(job.key, None)
            self._node_of.pop(job.key, None)
        self._release(flight.site, key)
        return left

    def withdraw(self, job: Job) -> tuple[Site, str, list[Job]] | None:
        """Take a job's node out, to be killed: its site, its key, and the other jobs in it that are not final.

        The site keeps the node until it is told to kill it: of one that it forgot nobody knows where it is performed.
        """
        key = self._node_of.get(job.key, "")
        flight = self._nodes.pop(key, None)
        if flight is None:
            return None
        for member in flight.group:
            self._kept.pop(member.key, None)
            self._node_of.pop(member.key, None)
        others = [member for member in flight.group if member is not job and not member.state.final]
        return flight.site, key, others

    def by_site(self) -> dict[Site, list[str]]:
        """The keys of all nodes."""
        found: dict[Site, list[str]] = {}
        for key, flight in self._nodes.items():
            found.setdefault(flight.site, []).append(key)
        return found

    def count(self, site: Site) -> int:
        """How many nodes a site has to perform; safe without the lock."""
        return sum(flight.site is site for flight in list(self._nodes.values()))

    def recall(self) -> list[Job]:
        """The jobs that departed and were not performed: those who submit them were interrupted."""
        keys = [key for _, shipment in self._departing for key in shipment.members]
        return [job for key in keys for job in self.lose(key)]

    def clear(self) -> None:
        """Let go of everything."""
        self._over = True
        nodes, self._nodes = self._nodes, {}
        self._node_of.clear()
        self._kept.clear()
        for key, flight in nodes.items():
            flight.site.release([key])

    def performed_now(self, keys: Iterable[str]) -> list[Job]:
        """The jobs that are being performed when nodes are: of each the first that is not final."""
        found: list[Job] = []
        for key in keys:
            flight = self._nodes.get(key)
            if flight is not None:
                found.extend([job for job in flight.group if not job.state.final][:1])
        return found

    def _release(self, site: Site, key: str) -> None:
        if key in self._pinned:
            self._late.append((site, key))
        else:
            site.release([key])
