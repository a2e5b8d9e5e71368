"""What a probe saw, as findings."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daskflow.execution.doctor.findings import Finding, bad, good, odd, passed_over
from daskflow.execution.doctor.patient import Patient
from daskflow.execution.doctor.probe import PACKAGES, Seen
from daskflow.model.quantities import as_bytes, as_seconds

_MAX_SKEW = 5.0
"""[s]"""
_LITTLE = 1 << 30
"""Less room in scratch is told of [bytes]."""


def verdicts(patient: Patient, seen: Seen) -> list[Finding]:
    """What the probe of a site tells."""
    return [_begin(patient, seen), *_later(patient, seen)]


def _begin(patient: Patient, seen: Seen) -> Finding:
    """Whether the probe began on a node that sees the shared directory."""
    name = "probe"
    if seen.reached:
        return good(f"batch job {seen.id} began on {seen.reached} after {as_seconds(seen.seconds)}")._replace(
            check=name
        )
    if seen.ended:
        return bad(
            f"batch job {seen.id} ended and left nothing in {patient.plan.home}{_ending(seen)}",
            "Name a directory by `shared` that driver and nodes have under the same path.",
        )._replace(check=name)
    standing = seen.standing
    reason = f": {standing.state}, {standing.reason or 'no reason is given'}" if standing is not None else ""
    if standing is not None and standing.hopeless:
        return bad(
            f"batch job {seen.id} would wait for ever{reason}",
            "Look at `queue`, `account`, `walltime` and sizes of the first pool.",
        )._replace(check=name)
    return odd(
        f"batch job {seen.id} did not begin within {as_seconds(seen.seconds)}{reason}; it was cancelled",
        "The queue is busy, or its nodes are down. Try again with a longer --wait.",
    )._replace(check=name)


def _later(patient: Patient, seen: Seen) -> Iterator[Finding]:
    if not seen.reached:
        return
    yield _prologue(patient, seen)._replace(check="prologue")
    yield from _other_prologues(patient)
    if seen.stage == "prologue":
        return
    if seen.report is None:
        yield _no_report(patient, seen)._replace(check="python")
        return
    report = seen.report
    yield _python(patient, report)._replace(check="python")
    yield _versions(report)._replace(check="versions")
    yield _network(patient, seen)._replace(check="network")
    yield _clock(seen)._replace(check="clock")
    yield _certificates(patient, report)._replace(check="TLS")
    yield _scratch(report["scratch"])._replace(check="scratch")
    yield _locks(report)._replace(check="locks on the node")
    yield _objects(patient, report)._replace(check="artifacts on the node")


def _prologue(patient: Patient, seen: Seen) -> Finding:
    if seen.stage != "prologue":
        tried, *others = patient.plan.pools
        where = f" in the pool {tried.name!r}" if others else ""
        return good(f"it runs without a fault{where}" if tried.queue.prologue else f"there is none{where}")
    line = f" at {seen.failed!r}" if seen.failed else ""
    return bad(
        f"it fails on {seen.reached}{line} with exit code {seen.code}{_log(seen)}",
        "Mend that line of `prologue`; it runs by bash, without your login files.",
    )


def _other_prologues(patient: Patient) -> Iterator[Finding]:
    """Names the pools whose prologues nobody tried: a probe is sent to the first pool only."""
    tried, *others = patient.plan.pools
    names = [pool.name for pool in others if pool.queue.prologue not in ((), tried.queue.prologue)]
    if names:
        yield passed_over(
            f"not tried in {', '.join(names)}: only the first pool, {tried.name!r}, gets a probe"
        )._replace(
            check="other prologues",
            cure="Put each of them first in a copy of the configuration, and look again with --config.",
        )


def _no_report(patient: Patient, seen: Seen) -> Finding:
    python = patient.plan.python
    if seen.stage == "python":
        return bad(
            f"{seen.reached} has no interpreter {python}{_log(seen)}",
            "Name by `python` an interpreter that nodes have under the same path, on a shared file system.",
        )
    if seen.stage == "node":
        return bad(
            f"{python} does not run on {seen.reached}: exit code {seen.code}{_log(seen)}",
            "Name by `python` one of version 3.11 or newer, or load what it needs in `prologue`.",
        )
    return bad(f"the probe did not come to its end{_ending(seen)}", "Look at what else runs on that node.")


def _python(patient: Patient, report: Mapping[str, Any]) -> Finding:
    own = tuple(sys.version_info[:3])
    theirs = tuple(int(part) for part in report["python"].split(".")[:3] if part.isdigit())
    text = f"{report['executable']} is Python {report['python']}"
    if own[:2] != theirs[:2]:
        return bad(
            f"{text}, not {own[0]}.{own[1]} as here",
            "Name by `python` an interpreter of the driver's version; code and pickles do not travel between versions.",
        )
    wanted = patient.plan.worker_interface
    if wanted and wanted not in report["interfaces"]:
        return bad(
            f"{report['node']} has no network interface {wanted!r}",
            f"Name one of these by `worker_interface`: {', '.join(report['interfaces'])}.",
        )
    return good(text)


def _versions(report: Mapping[str, Any]) -> Finding:
    packages: dict[str, Sequence[str]] = report["packages"]
    if not packages:
        return bad(f"nothing can be imported: {report.get('error', '')}", "Name another interpreter by `python`.")
    broken = {name: error for name, (_, error) in packages.items() if error}
    if broken:
        name, error = next(iter(broken.items()))
        return bad(
            f"{', '.join(broken)} cannot be imported by {report['executable']} on the node: {name}: {error}",
            "Install daskflow for that interpreter (`PYTHON -m pip install daskflow`), or name another by `python`.",
        )
    other = differing(own_versions(), packages)
    if other:
        return bad(
            f"other versions on the node: {', '.join(other)}",
            "Install the same versions in both places, or let both use one environment on a shared file system.",
        )
    return good(", ".join(f"{name} {version}" for name, (version, _) in packages.items()) + " are the same here")


def own_versions() -> dict[str, str]:
    """Versions of the packages that have to be equal, here."""
    import importlib.metadata

    return {name: importlib.metadata.version(name) for name in PACKAGES}


def differing(own: Mapping[str, str], theirs: Mapping[str, Sequence[str]]) -> list[str]:
    """Packages of other versions on the node, with both.

    Examples
    --------
    >>> differing({"dask": "1.0"}, {"dask": ["1.1", ""]})
    ['dask (1.1 there, 1.0 here)']
    """
    return [
        f"{name} ({found[0] or 'none'} there, {own[name]} here)"
        for name, found in theirs.items()
        if found[0] != own[name]
    ]


def _network(patient: Patient, seen: Seen) -> Finding:
    network = (seen.report or {})["network"]
    if network["reached"]:
        return good(f"{seen.reached} reaches the driver at {seen.address}")
    return bad(
        f"{seen.reached} does not reach the driver at {seen.address}: {network['error']}",
        "Name by `interface` the one of this machine that is in the network of the nodes"
        + (f" (now {patient.plan.interface})." if patient.plan.interface else "; a firewall may close ports too."),
    )


def _clock(seen: Seen) -> Finding:
    if seen.skew is None:
        return passed_over("the node does not reach the driver")
    if abs(seen.skew) > _MAX_SKEW:
        return bad(
            f"the clock of {seen.reached} is {as_seconds(abs(seen.skew))} {'ahead' if seen.skew > 0 else 'behind'}",
            "Have both clocks set by NTP: walltimes and certificates are judged by them.",
        )
    return good(f"the clocks differ by {as_seconds(abs(seen.skew))}")


def _certificates(patient: Patient, report: Mapping[str, Any]) -> Finding:
    if not patient.plan.tls:
        return odd("driver and workers talk without TLS: anybody in that network may send work", "Set `tls: true`.")
    if report["tls"]:
        return bad(
            f"the node cannot use the certificates in {patient.plan.home}: {report['tls']}",
            "See that the directory `shared` is readable on the nodes, and that clocks agree.",
        )
    return good("the node reads the certificates")


def _scratch(scratch: Mapping[str, Any]) -> Finding:
    place = scratch["place"]
    cure = "Name by `scratch` a directory of the nodes that you may write, with room."
    if scratch["error"] == "full":
        return bad(f"scratch is full: {place} has {as_bytes(scratch['free'] or 0)} left", cure)
    if scratch["error"]:
        return bad(f"scratch cannot be written: {place}: {scratch['error']}", cure)
    if scratch["free"] is not None and scratch["free"] < _LITTLE:
        return odd(f"scratch has only {as_bytes(scratch['free'])} left: {place}", cure)
    return good(f"{place} is writable, {as_bytes(scratch['free'] or 0)} are free")


def _locks(report: Mapping[str, Any]) -> Finding:
    if report["lock"] == "held":
        return good("a lock of the driver holds on the node")
    if report["lock"] == "free":
        return odd(
            "a lock of the driver does not hold on the node",
            "Do not share `store` and caches between machines by this file system (on Lustre: mount option flock).",
        )
    return odd(f"a lock in the shared directory cannot be tried: {report['lock']}", "Ask who runs this file system.")


def _objects(patient: Patient, report: Mapping[str, Any]) -> Finding:
    url = "" if patient.store is None else patient.store.url
    if report["artifacts"]:
        return bad(
            f"the node cannot write {url}: {report['artifacts']}",
            "Put `artifacts` on a file system that nodes share under the same path, or into an object storage.",
        )
    if report["objects"].startswith("ok"):
        return good(f"the node reads objects of {url}")
    if report["objects"]:
        return bad(
            f"the node does not read objects of {url}: {report['objects']}",
            "Give nodes a way to it, and its credentials: `environment`, or variables in `prologue`.",
        )
    return passed_over("what it needs is broken")


def _ending(seen: Seen) -> str:
    return (f" ({seen.certificate})" if seen.certificate else "") + _log(seen)


def _log(seen: Seen) -> str:
    return f". Its log ends with: {seen.log}" if seen.log else ""
