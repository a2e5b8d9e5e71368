"""What probes saw, in words."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import pytest

from daskflow.execution.doctor.findings import Finding, Mark
from daskflow.execution.doctor.patient import Patient
from daskflow.execution.doctor.probe import Seen
from daskflow.execution.doctor.verdicts import differing, own_versions, verdicts
from daskflow.sites.pools import Queue
from tests.execution.doctor.conftest import POOL, pending

Make = Callable[..., Patient]


def report(**changes: Any) -> dict[str, Any]:
    return {
        "node": "n1",
        "python": platform.python_version(),
        "executable": "/venv/bin/python",
        "interfaces": ["lo", "ib0"],
        "network": {"reached": True, "error": ""},
        "lock": "held",
        "artifacts": "",
        "scratch": {"place": "/tmp", "free": 10 << 30, "error": ""},
        "tls": "",
        "packages": {name: [version, ""] for name, version in own_versions().items()},
        "objects": "ok 5",
        **changes,
    }


def seen(**changes: Any) -> Seen:
    found = Seen("7", 2.0, "n1", stage="node", code=0, report=report(), skew=0.1, address="10.0.0.1:5", ended=True)
    return found._replace(**changes)


def told(patient: Patient, found: Seen) -> dict[str, Finding]:
    return {one.check: one for one in verdicts(patient, found)}


def test_all_is_well(patient: Make) -> None:
    assert {one.mark for one in verdicts(patient(tls=True), seen())} == {Mark.ok}


@pytest.mark.parametrize(
    ("changes", "check", "text"),
    [
        ({"python": "3.7.1"}, "python", "/venv/bin/python is Python 3.7.1, not 3."),
        ({"packages": {}, "error": "exit code 1: oh"}, "versions", "nothing can be imported: exit code 1: oh"),
        ({"packages": {"daskflow": ["", "ModuleNotFoundError: x"]}}, "versions", "daskflow cannot be imported by"),
        (
            {"packages": {**report()["packages"], "dask": ["1.0", ""]}},
            "versions",
            "other versions on the node: dask (1.0 there, ",
        ),
        ({"network": {"reached": False, "error": "no"}}, "network", "n1 does not reach the driver at 10.0.0.1:5"),
        ({"tls": "no such file"}, "TLS", "the node cannot use the certificates in "),
        ({"scratch": {"place": "/s", "free": 0, "error": "full"}}, "scratch", "scratch is full: /s has 0 B left"),
        ({"scratch": {"place": "/s", "free": 0, "error": "no"}}, "scratch", "scratch cannot be written: /s: no"),
        ({"artifacts": "Permission denied"}, "artifacts on the node", "the node cannot write file://"),
        ({"objects": "AccessRefused: no"}, "artifacts on the node", "the node does not read objects of file://"),
    ],
)  # fmt: skip
def test_what_is_broken_on_a_node(patient: Make, changes: dict[str, Any], check: str, text: str) -> None:
    found = told(patient(tls=True), seen(report=report(**changes)))
    assert found[check].mark is Mark.broken
    assert found[check].text.startswith(text)
    assert found[check].cure
    assert [one.check for one in found.values() if one.mark is Mark.broken] == [check]


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"lock": "free"}, "locks on the node"),
        ({"lock": "Function not implemented"}, "locks on the node"),
        ({"scratch": {"place": "/s", "free": 1000, "error": ""}}, "scratch"),
    ],
)
def test_what_is_to_be_known_of_a_node(patient: Make, changes: dict[str, Any], check: str) -> None:
    assert told(patient(tls=True), seen(report=report(**changes)))[check].mark is Mark.warning


def test_without_tls(patient: Make) -> None:
    assert told(patient(tls=False), seen())["TLS"].mark is Mark.warning


@pytest.mark.parametrize(
    ("skew", "mark"), [(None, Mark.skipped), (4.0, Mark.ok), (-6.0, Mark.broken), (60.0, Mark.broken)]
)
def test_clocks(patient: Make, skew: float | None, mark: Mark) -> None:
    found = told(patient(), seen(skew=skew))["clock"]
    assert found.mark is mark
    if skew == 60.0:
        assert found.text == "the clock of n1 is 1 min 0 s ahead"


def test_an_interface_that_nodes_lack(patient: Make) -> None:
    found = told(patient(worker_interface="ib9"), seen())["python"]
    assert (found.mark, "'ib9'" in found.text, "ib0" in found.cure) == (Mark.broken, True, True)


@pytest.mark.parametrize(
    ("changes", "check", "mark", "text"),
    [
        ({"reached": "", "ended": True, "log": "no space"}, "probe", Mark.broken, "left nothing in"),
        ({"reached": "", "ended": False}, "probe", Mark.warning, "did not begin within 2 s"),
        ({"stage": "prologue", "code": 3, "failed": "module load x"}, "prologue", Mark.broken, "at 'module load x'"),
        ({"stage": "python", "code": 127, "report": None}, "python", Mark.broken, "has no interpreter"),
        ({"stage": "node", "code": 2, "report": None}, "python", Mark.broken, "does not run on n1: exit code 2"),
        ({"stage": "", "code": None, "report": None}, "python", Mark.broken, "did not come to its end"),
    ],
)
def test_where_a_probe_ended(patient: Make, changes: dict[str, Any], check: str, mark: Mark, text: str) -> None:
    found = told(patient(), seen(**changes))
    assert list(found)[-1] == check
    assert found[check].mark is mark
    assert text in found[check].text
    assert found[check].cure


def test_only_the_prologue_that_was_tried_is_well(patient: Make) -> None:
    module, other = Queue("main", prologue=("module load a",)), Queue("gpu", prologue=("module load nonsense",))
    cpu, same, gpu = POOL._replace(name="cpu"), POOL._replace(name="same"), POOL._replace(name="gpu", queue=other)
    found = told(patient(pools=(cpu, gpu)), seen())
    assert (found["prologue"].mark, found["prologue"].text) == (Mark.ok, "there is none in the pool 'cpu'")
    assert (found["other prologues"].mark, found["other prologues"].text) == (
        Mark.skipped,
        "not tried in gpu: only the first pool, 'cpu', gets a probe",
    )
    assert found["other prologues"].cure
    loaded = cpu._replace(queue=module)
    found = told(patient(pools=(loaded, same._replace(queue=module), gpu)), seen())
    assert found["prologue"].text == "it runs without a fault in the pool 'cpu'"
    assert found["other prologues"].text.startswith("not tried in gpu: ")
    assert "other prologues" not in told(patient(pools=(loaded, same)), seen())
    assert told(patient(pools=(loaded,)), seen())["prologue"].text == "it runs without a fault"


def test_why_it_waits(patient: Make) -> None:
    waiting = seen(reached="", ended=False, standing=pending("Resources"))
    assert "PENDING, Resources; it was cancelled" in told(patient(), waiting)["probe"].text
    forever = seen(reached="", ended=False, standing=pending("BadConstraints", hopeless=True))
    assert told(patient(), forever)["probe"].mark is Mark.broken


def test_versions() -> None:
    assert differing({"a": "1", "b": "2"}, {"a": ["1", ""], "b": ["", ""]}) == ["b (none there, 2 here)"]
