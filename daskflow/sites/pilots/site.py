"""Sites that compute on pilots: batch jobs that hold dask workers, started and replaced by need."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from daskflow.model.needs import Needs
from daskflow.model.outcome import Failure, Outcome
from daskflow.sites.batch.system import BatchSystem, Certificate
from daskflow.sites.batch.watch import watch_of
from daskflow.sites.cluster import ClusterSite
from daskflow.sites.pilots.fleet import Fleet
from daskflow.sites.pilots.hands import Hands
from daskflow.sites.pilots.harbour import open_harbour
from daskflow.sites.pilots.pilot import Pilot
from daskflow.sites.pilots.placer import Desk, placer_plugin
from daskflow.sites.pilots.plan import SitePlan
from daskflow.sites.pilots.room import Room, Stay
from daskflow.sites.pilots.undertaker import Undertaker, Verdict
from daskflow.sites.pools import first_fit, misfit
from daskflow.sites.security import forget_security, make_security
from daskflow.sites.site import Listener, Node, Perform


class PilotSite(ClusterSite):
    """Performs nodes on pilots.

    Parameters
    ----------
    name
        Name in the configuration.
    plan
        How it is run.
    system
        Its batch system.
    perform, load
        Performs a package; gives the value of a performed one again.
    boxes
        Directory of the workers' black boxes.
    """

    def __init__(
        self, name: str, plan: SitePlan, system: BatchSystem, perform: Perform, load: Any, *, boxes: str
    ) -> None:
        slots = sum(pool.cores * max(pool.maximum, 1) for pool in plan.pools)
        # Whose fault the loss of a pilot was is not read from black boxes: nodes have processes of their own, with
        # limits of their own.
        super().__init__(name, self._connect_pilots, perform, load, slots=slots, boxes="")
        self.plan = plan
        self.system = system
        self._orders: dict[str, Node] = {}
        self._placer: Any = None
        self._fleet: Fleet | None = None
        self._undertaker: Undertaker | None = None

    def fit(self, needs: Needs) -> str:
        """Why no pool holds a node with these needs; empty where one does."""
        return misfit(self.name, self.plan.pools, needs, self.plan.margin)

    def larger(self, needs: Needs) -> Needs | None:
        """The memory that the next pool up would give to a node that said nothing of memory."""
        pool = first_fit(self.plan.pools, needs, self.plan.margin)
        if pool is None:
            return None
        above = [other.share(needs._replace(memory=None)) for other in self.plan.pools if not other.lacks(needs)]
        more = sorted(share for share in above if share > pool.share(needs))
        return needs._replace(memory=more[0]) if more else None

    def submit(
        self, nodes: Sequence[Node], kept: Iterable[str], listener: Listener, foreign: Mapping[str, Any]
    ) -> None:
        """Send nodes to the scheduler, where they wait for pilots."""
        self._orders.update((node.key, node._replace(package=b"")) for node in nodes)
        super().submit(nodes, kept, listener, foreign)

    def release(self, keys: Iterable[str]) -> None:
        """Let go of nodes."""
        keys = list(keys)
        for key in keys:
            self._orders.pop(key, None)
        super().release(keys)

    def kill(self, keys: Iterable[str]) -> set[str]:
        """Kill nodes with all their processes."""
        asked = set(keys)
        dead = super().kill(asked)
        for key in asked:
            self._orders.pop(key, None)
        return dead

    def pilots(self) -> list[Pilot]:
        """The pilots that there are, and were since the site was opened."""
        return self._fleet.pilots() if self._fleet is not None else []

    # Opening and closing.

    def _connect_pilots(self) -> tuple[Any, Sequence[Any]]:
        from distributed import Client

        home = Path(self.plan.home)
        certificates = home / "certificates" / uuid.uuid4().hex
        security = make_security(certificates) if self.plan.tls else None
        desk = Desk(self._needs_of, self._nudge, self._fell, self._lose_all)
        placer = placer_plugin(self.name, self.plan.pools, self.plan.margin, desk)
        harbour = open_harbour(self.plan, security, [placer])
        try:
            fleet = Fleet(
                self.name, self.plan, self.system, watch_of(self.system, self.plan.poll), Hands(placer), tell=self._tell
            )
            undertaker = Undertaker(self.system.certificates, fleet.log_tail, self._judged)
            self._placer, self._fleet, self._undertaker = placer, fleet, undertaker
            fleet.open(harbour.scheduler_address, str(certificates) if self.plan.tls else "")
            return Client(harbour, set_as_default=False), [_Ashore(fleet, undertaker, certificates), harbour]
        except BaseException:
            harbour.close()
            raise

    def _mend(self) -> None:
        """Nothing: the fleet sees to it that there are pilots."""

    # The desk of the placer.

    def _needs_of(self, key: str) -> Needs | None:
        order = self._orders.get(key)
        return order.needs if order is not None else None

    def _nudge(self) -> None:
        if self._fleet is not None:
            self._fleet.nudge()

    def _fell(self, room: Room, stays: Mapping[str, Stay]) -> None:
        if self._undertaker is not None and not room.dismissed:
            self._undertaker.mourn(room, stays)

    def _lose_all(self, keys: Sequence[Any], error: Exception) -> None:
        self._lose_each(dict.fromkeys(keys, f"{type(error).__name__}: {error}"))

    def _lose_each(self, reasons: Mapping[Any, str]) -> None:
        """Tell whoever waits for nodes that they are lost.

        Tasks of dask collections, and results that are had again after their nodes were released, have nobody who
        waits: they fail in the scheduler, so that the nodes that depend on them are lost.
        """
        others = {}
        for key, reason in reasons.items():
            order = self._orders.get(key)
            if order is None:
                others[key] = reason
            else:
                self._lose(key, reason, order.name)
        if others:
            self._placer.later(self._placer.fail, others)

    # What the undertaker says.

    def _judged(self, room: Room, certificate: Certificate, verdicts: list[Verdict]) -> None:
        if self._fleet is not None:
            self._fleet.lost(room.id, certificate.error, certificate.text)
        for verdict in verdicts:
            order = self._orders.get(verdict.key)
            if verdict.again and order is not None and order.name:
                self._strike(verdict.key, _attempt(order, verdict))
        self._lose_each({one.key: f"{one.error}: {one.text}" for one in verdicts if not one.again})
        client = self._client
        if client is not None:
            loop, stays = client.loop, [verdict for verdict in verdicts if verdict.again]
            loop.add_callback(self._release_held, stays)

    def _release_held(self, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            order = self._orders.get(verdict.key)
            if verdict.error == "WalltimeExceeded" and order is not None and order.needs.kind:
                needs = self._placer.outlived(order.needs, verdict.time - verdict.since)
                with self._lock:
                    if verdict.key in self._orders:
                        self._orders[verdict.key] = order._replace(needs=needs)
        for verdict in verdicts:
            self._placer.free(verdict.key)
        self._placer.judge()

    def _tell(self, kind: str, data: Mapping[str, Any]) -> None:
        text = json.dumps({"site": self.name, **data}, default=str)
        with self._lock:
            listeners = set(self._topics) | set(self._listeners.values())
        for listener in listeners:
            listener.tell(kind, text)


class _Ashore:
    """What is closed with the site, beside dask's parts."""

    def __init__(self, fleet: Fleet, undertaker: Undertaker, certificates: Path) -> None:
        self._fleet = fleet
        self._undertaker = undertaker
        self._certificates = certificates

    def close(self, timeout: float) -> None:
        """Let all pilots go."""
        self._undertaker.close()
        self._fleet.close()
        with suppress(OSError):
            forget_security(self._certificates)
            self._certificates.rmdir()


def _attempt(order: Node, verdict: Verdict) -> Outcome:
    failure = Failure(f"daskflow.errors.{verdict.error}", verdict.text, "")
    return Outcome(
        order.name,
        "failed",
        0,
        verdict.since,
        verdict.time,
        host=verdict.room.node,
        failure=failure,
        final=False,
    )
