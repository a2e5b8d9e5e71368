"""Looks a site over: all that keeps it from computing, in the order in which one would mend it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

from daskflow.execution.doctor import batch, places
from daskflow.execution.doctor.findings import Finding, Mark, good, look, passed_over
from daskflow.execution.doctor.patient import Patient
from daskflow.execution.doctor.probe import send
from daskflow.execution.doctor.verdicts import verdicts
from daskflow.sites.batch.steps import Steps
from daskflow.sites.batch.system import Examined, Limits

_QUICK = 60.0
"""Looks that take longer are given up [s]."""
_PROBE = 600.0
"""A probe that began, and all around it, takes at most so long [s]."""

_ALLOCATION = "allocation"
"""Kind of the sites that are the batch job around the driver."""


def check_site(patient: Patient, wait: float) -> Iterator[Finding]:
    """Look a site over; findings come as they are made.

    Parameters
    ----------
    wait
        So long the probe may wait in its queue [s].
    """
    healthy = True
    if patient.kind == _ALLOCATION:
        yield from look("allocation", _allocation, _QUICK)
    if patient.system is not None:
        for finding in _batch(patient, patient.system):
            healthy = healthy and finding.mark is not Mark.broken
            yield finding
    for finding in _here(patient):
        yield finding
        # The probe tells what it finds through these.
        healthy = healthy and not (finding.mark is Mark.broken and finding.check in ("interface", "shared directory"))
    system = patient.system
    if patient.kind == _ALLOCATION:
        yield from look("probe", lambda: passed_over("nothing is tried on the nodes of an allocation"), _QUICK)
    if system is None:
        return
    if not healthy:
        yield from look(
            "probe", lambda: passed_over("mend what is broken above; then a batch job will be sent"), _QUICK
        )
        return
    yield from look("probe", lambda: verdicts(patient, send(patient, system, wait)), wait + _PROBE)


def _allocation() -> Finding:
    """Whether there is a batch job around this process, and what starts workers on its nodes."""
    Steps().alive()
    return good("this process runs in a job of Slurm, and srun is here")


def _batch(patient: Patient, system: Examined) -> Iterator[Finding]:
    found = list(look("commands", lambda: batch.commands(system), _QUICK))
    yield from found
    if found[0].mark is Mark.ok:
        found = list(look("answers", lambda: batch.answers(system), _QUICK))
        yield from found
    if found[0].mark is not Mark.ok:
        yield from look("queues", lambda: passed_over("the batch system cannot be asked"), _QUICK)
        return
    yield from _pools(patient, system)


def _pools(patient: Patient, system: Examined) -> Iterator[Finding]:
    limits: list[Limits] = []

    def ask() -> Sequence[Finding]:
        limits.extend(system.limits())
        return [] if limits else [passed_over(f"{system.name} does not tell the limits of its queues")]

    yield from look("queues", ask, _QUICK)
    for pool in patient.plan.pools:
        fits = True
        if limits:
            for finding in look(f"pool {pool.name}", functools.partial(batch.pool_fits, pool, limits), _QUICK):
                fits = fits and finding.mark is not Mark.broken
                yield finding
        if fits:
            rehearse = functools.partial(batch.rehearsal, system, patient, pool)
            yield from look(f"pool {pool.name}, submission", rehearse, _QUICK)


def _here(patient: Patient) -> Iterator[Finding]:
    plan = patient.plan
    yield from look("locks", lambda: places.locks(patient.journal), _QUICK)
    yield from look("logs", lambda: places.writable(patient.logs, "logs"), _QUICK)
    store = patient.store
    if store is not None:
        yield from look("artifacts", lambda: places.objects(store), _QUICK)
    if patient.address:
        yield from look("scheduler", lambda: places.scheduler(patient.address), _QUICK)
    if patient.system is None and patient.kind != _ALLOCATION:
        return
    yield from look("shared directory", lambda: places.writable(Path(plan.home), "shared"), _QUICK)
    yield from look("interface", lambda: places.interface(plan.interface), _QUICK)
