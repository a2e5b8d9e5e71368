"""Makes what a site gets: nodes with packages, from jobs whose upstream values are there or on their way."""

from __future__ import annotations

import itertools
import sys
import uuid
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from daskflow.errors import CodeMismatch
from daskflow.execution.credentials import forwarding
from daskflow.execution.plan import Prior
from daskflow.execution.sending.bundles import Group
from daskflow.execution.sending.needing import Needing
from daskflow.execution.worker.identities import identify_classes
from daskflow.execution.worker.imports import parts_at, places
from daskflow.execution.worker.package import ONCE, Assignment, Attempts, Package, Shipped, Source, pack
from daskflow.execution.worker.retry import retry_on
from daskflow.execution.worker.versions import version_of
from daskflow.graph.job import Collection, Job
from daskflow.graph.structure import ATOMS, Slot
from daskflow.graph.task import findable, importable
from daskflow.model.outcome import Stored
from daskflow.model.policy import Policy
from daskflow.sites import Node


class Shipment(NamedTuple):
    """What goes to a site at once."""

    nodes: list[Node]
    """Upstream first."""
    kept: list[str]
    """Keys of the nodes that no other one of the shipment needs."""
    members: dict[str, Group]
    """The jobs of each node."""
    foreign: dict[str, Any]
    """Tasks of dask collections that are arguments."""


class Packer:
    """Makes shipments for one run.

    Parameters
    ----------
    run
        Its id.
    bench
        The pickled `Bench` of the run.
    needing
        Says what nodes need.
    """

    def __init__(self, run: str, bench: bytes, needing: Needing) -> None:
        self._run = run
        self._bench = bench
        self._needing = needing
        self._tasks: dict[tuple[int, str], tuple[Any, bytes]] = {}
        self._mark = uuid.uuid4().hex[:8]
        self._count = itertools.count()

    @forwarding()
    def ship(
        self,
        groups: Sequence[Group],
        stored: Mapping[str, Stored],
        flying: Mapping[str, str],
        priors: Mapping[str, Prior],
        failures: Mapping[str, int] = MappingProxyType({}),
    ) -> Shipment:
        """Make nodes of groups of jobs.

        Parameters
        ----------
        groups
            Upstream first.
        stored
            The values of upstream jobs that are there, by key.
        flying
            The nodes of single upstream jobs that the site still performs, by key of the job.
        priors
            What early cutoff knows, by key.
        failures
            How many attempts at jobs failed before, by key.
        """
        node_of = dict(flying)
        bundled: set[str] = set()
        keys = [self._node_key(group) for group in groups]
        for key, group in zip(keys, groups, strict=True):
            node_of.update((job.key, key) for job in group)
            if len(group) > 1:
                bundled.add(key)
        view = _View(stored, node_of, bundled, priors, failures, _wanted(groups, node_of))
        shipment = Shipment([], [], {}, {})
        used: set[str] = set()
        for key, group in zip(keys, groups, strict=True):
            node = self._node(key, group, view, shipment.foreign)
            shipment.nodes.append(node)
            shipment.members[node.key] = group
            used.update(node.upstream)
        shipment.kept.extend(node.key for node in shipment.nodes if node.key not in used)
        return shipment

    @forwarding()
    def fault(self, job: Job) -> Exception | None:
        """Why a job cannot be sent to any site; None where it can."""
        try:
            self._packed(job)
            pack(_only(job), plain=False)
            for up in job.upstream:
                if isinstance(up, Collection):
                    up.graph()
        except Exception as error:
            return error
        return None

    def _node_key(self, group: Group) -> str:
        # Unlike any other of this run and of all runs: dask takes two tasks of one key for the same, and tells only
        # whom it knew first what became of it.
        first = group[0]
        name = first.key if len(group) == 1 else f"{first.task.policy.name}-bundle"
        return f"{name}-{self._mark}-{next(self._count)}"

    def _node(self, key: str, group: Group, view: _View, foreign: dict[str, Any]) -> Node:
        upstream: dict[str, int] = {}
        tasks: dict[bytes, int] = {}
        plain = True
        assignments = []
        for job in group:
            sources = tuple([_source(up, key, upstream, view, foreign) for up in job.upstream])
            task = tasks.setdefault(self._packed(job), len(tasks))
            prior = view.priors.get(job.key)
            known = prior.results if prior is not None else ()
            plain = plain and all(type(argument) in ATOMS or type(argument) is Slot for argument in job.arguments)
            limits = attempts(job.task.policy)
            limits = limits._replace(isolated=True) if job.terms.isolated else limits
            limits = limits._replace(kept=True) if job.task.keeps_limits else limits
            raised = self._needing.raised(job)
            limits = limits._replace(memory=raised) if raised is not None else limits
            number, files = job.attempts + 1, job.terms.files
            made = Assignment(job.key, task, job.arguments, sources, limits, known, number, files)
            failed = view.failures.get(job.key, 0)
            assignments.append(made._replace(failed=failed) if failed else made)
        wanted = tuple(view.wanted.get(key, ()))
        package = Package(key, self._bench, tuple(tasks), tuple(assignments), wanted, len(group) > 1)
        name = group[0].key if len(group) == 1 else ""
        needs = self._needing.of_all(group)
        return Node(key, pack(package, plain), tuple(upstream), needs, name, self._run)

    def _packed(self, job: Job) -> bytes:
        """The pickled task of a job; the same bytes for all jobs of one code, so that workers unpickle it once."""
        known = self._tasks.get((id(job.task), job.fingerprint))
        if known is None:
            known = self._tasks[id(job.task), job.fingerprint] = (job.task, pack_task(job))
        return known[1]


def pack_task(job: Job) -> bytes:
    """The task of a job as it is sent away.

    What workers import by its name is sent with the parts of its fingerprint, by which they see whether they imported
    the code that the key describes: the task itself, or the helpers of one that travels by value.

    Raises
    ------
    CodeMismatch
        The code, or a global value that it uses, changed since the call.
    """
    import cloudpickle

    if job.task.fingerprint().id != job.fingerprint:
        raise CodeMismatch(
            f"What {job.task.policy.name} does changed after {job.key} was made and before it was sent to a worker. "
            "Call the task again."
        )
    module = sys.modules.get(job.task.__module__)
    if module is not None and not findable(module.__name__):
        # Neither can the helpers beside it be imported elsewhere.
        cloudpickle.register_pickle_by_value(module)
    identify_classes()
    made: bytes = cloudpickle.dumps(_shipped(job.task), protocol=5)
    return made


def _shipped(task: Any) -> Shipped:
    if task.policy.version is not None:
        return Shipped(task, {})
    parts = task.fingerprint().parts
    if importable(task):
        return Shipped(task, parts, version_of(task.__module__))
    found = places(task.function, parts)
    return Shipped(task, parts_at(found), places=found)


class _View(NamedTuple):
    """What a node is made by."""

    stored: Mapping[str, Stored]
    node_of: Mapping[str, str]
    bundled: set[str]
    priors: Mapping[str, Prior]
    failures: Mapping[str, int]
    wanted: Mapping[str, dict[str, None]]


def attempts(policy: Policy) -> Attempts:
    """The part of a policy that the worker follows."""
    memory, cores, gpus = policy.resources.memory, policy.resources.cores, policy.resources.gpus
    if not policy.retries and policy.timeout is None and memory is None and cores == 1 and not gpus:
        return ONCE
    pauses = tuple(policy.pause(number) for number in range(1, policy.retries + 1))
    retry = retry_on(policy.retry_on) if policy.retries else None
    return Attempts(policy.retries, retry, pauses, policy.jitter, policy.timeout, memory, cores=cores, gpus=gpus)


def _only(job: Job) -> Package:
    """What of a package only the job itself can spoil."""
    assignment = Assignment(job.key, 0, job.arguments, attempts=attempts(job.task.policy))
    return Package("", b"", (), (assignment,), (), bundle=False)


def _wanted(groups: Sequence[Group], node_of: Mapping[str, str]) -> dict[str, dict[str, None]]:
    """The jobs of each bundle whose values others need; dictionaries, because these keep the order."""
    found: dict[str, dict[str, None]] = {}
    for group in groups:
        own = node_of[group[0].key]
        for job in group:
            for up in job.upstream:
                if isinstance(up, Job) and node_of.get(up.key, own) != own:
                    found.setdefault(node_of[up.key], {})[up.key] = None
    return found


def _source(up: Job | Collection, own: str, upstream: dict[str, int], view: _View, foreign: dict[str, Any]) -> Source:
    if isinstance(up, Collection):
        graph, name = up.graph()
        foreign.update(graph)
        return upstream.setdefault(name, len(upstream))
    node = view.node_of.get(up.key)
    if node is None:
        return view.stored[up.key]
    if node == own:
        return up.key
    position = upstream.setdefault(node, len(upstream))
    return (position, up.key) if node in view.bundled else position
