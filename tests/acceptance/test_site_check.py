"""`daskflow site check` on a real Slurm: a healthy site, and each fault with its name and cure."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from tests.acceptance.shell import environment
from tests.services.slurm import Slurm

pytestmark = [pytest.mark.integration, pytest.mark.acceptance]

Check: TypeAlias = Callable[..., dict[str, Any]]
SITE = {"kind": "slurm", "queue": "main", "cores": 1, "memory": "1 GiB", "walltime": "5 min", "interface": "lo"}


@pytest.fixture
def check(slurm: Slurm, tmp_path: Path) -> Check:
    """Checks a site that differs from a good one by what is given; the exit code has to be right."""

    def run(*, code: int, path: str | None = None, wait: float = 60, **changes: Any) -> dict[str, Any]:
        sites = {"cedar": SITE | changes}
        (tmp_path / "daskflow.yaml").write_text(yaml.safe_dump({"site": "cedar", "sites": sites}))
        variables = environment(**slurm.env, XDG_CONFIG_HOME=str(tmp_path / "home"))
        done = subprocess.run(
            [sys.executable, "-m", "daskflow", "site", "check", "cedar", "--json", "--wait", f"{wait:g}"],
            cwd=tmp_path,
            env=variables if path is None else variables | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        told: dict[str, Any] = json.loads(done.stdout)
        assert told["ok"] is (code == 0)
        assert list((tmp_path / ".daskflow" / "sites" / "cedar").glob("checks/*")) == [], "nothing is left"
        return told

    return run


def broken(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What is broken, by the name of the check; each has a cure."""
    found = {one["check"]: one for one in told["checks"] if one["mark"] == "broken"}
    assert all(one["cure"] for one in found.values()), found
    return found


def test_a_healthy_site_is_all_well(check: Check, tmp_path: Path) -> None:
    told = check(code=0, prologue=["export DASKFLOW_TEST=1", "true"], scratch=str(tmp_path / "scratch"))
    marks = {one["check"]: one["mark"] for one in told["checks"]}
    # That nodes reach `lo` is right where all nodes are this machine, and to be told elsewhere.
    assert marks.pop("interface") == "warning"
    assert set(marks.values()) == {"ok"}, told
    assert {"commands", "answers", "pool default", "locks", "artifacts", "probe", "versions", "network", "TLS"} <= set(
        marks
    )


@pytest.mark.parametrize(("kind", "options"), [("sge", {"queue": "all.q"}), ("pbs", {"queue": ""})])
def test_other_batch_systems_are_looked_over_too(
    kind: str,
    options: dict[str, Any],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request.getfixturevalue(kind).activate(monkeypatch)
    (tmp_path / "daskflow.yaml").write_text(yaml.safe_dump({"sites": {"oak": SITE | {"kind": kind} | options}}))
    done = subprocess.run(
        [sys.executable, "-m", "daskflow", "site", "check", "oak", "--json"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    told = json.loads(done.stdout)
    assert broken(told) == {}
    assert {one["check"]: one["mark"] for one in told["checks"]}["versions"] == "ok"


@pytest.mark.parametrize(
    ("changes", "where", "fault", "cure"),
    [
        ({"queue": "mian"}, "pool default", "no queue 'mian'", "debug, main"),
        ({"queue": "debug", "walltime": "1 h"}, "pool default", "1 h 0 min is over the limit", "at most 10 min"),
        ({"memory": "900 GiB"}, "pool default", "no node of the queue 'main' has 900 GiB", "`memory`"),
        ({"cores": 500}, "pool default", "has 500 cores", "`cores`"),
        ({"interface": "ib9"}, "interface", "no interface 'ib9'", "lo (127.0.0.1)"),
        ({"prologue": ["true", "module_that_is_not load x"]}, "prologue", "'module_that_is_not load x'", "`prologue`"),
        ({"prologue": "exit 4"}, "prologue", "exit code 4", "`prologue`"),
        ({"python": "/nowhere/python"}, "python", "no interpreter /nowhere/python", "`python`"),
        ({"worker_interface": "ib9"}, "python", "no network interface 'ib9'", "lo"),
        ({"scratch": "/dev/null/x"}, "scratch", "cannot be written", "`scratch`"),
        ({"shared": "/dev/null/x"}, "shared directory", "cannot be written", "`shared`"),
        ({"directives": ["--constraint=unobtainium"]}, "pool default, submission", "sbatch", "`directives`"),
    ],
)
def test_a_fault_has_a_name_and_a_cure(
    check: Check, changes: dict[str, Any], where: str, fault: str, cure: str
) -> None:
    found = broken(check(code=1, **changes))
    assert fault in found[where]["text"]
    assert cure in found[where]["cure"]


def test_without_sbatch(check: Check, tmp_path: Path) -> None:
    found = broken(check(code=1, path=str(tmp_path / "empty")))
    assert list(found) == ["commands"]
    assert "sbatch" in found["commands"]["text"]


@contextmanager
def _without(stop: Callable[[], None], start: Callable[[], None]) -> Iterator[None]:
    stop()
    try:
        yield
    finally:
        start()


@pytest.mark.parametrize(("what", "word"), [("slurm", "is down restore"), ("munge", "munge")])
def test_when_nobody_answers(check: Check, slurm: Slurm, what: str, word: str) -> None:
    stop, start = (slurm.down, slurm.up) if what == "slurm" else (slurm.stop_munge, slurm.start_munge)
    with _without(stop, start):
        told = check(code=1)
    found = broken(told)
    assert list(found) == ["answers"]
    assert word in (found["answers"]["text"] + found["answers"]["cure"]).lower()
    assert {one["check"]: one["mark"] for one in told["checks"]}["probe"] == "skipped"


def test_a_python_without_daskflow(check: Check, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    found = broken(check(code=1, python=str(tmp_path / "bare" / "bin" / "python")))
    assert list(found) == ["versions"]
    assert "daskflow" in found["versions"]["text"]
    assert "pip install daskflow" in found["versions"]["cure"]


def test_another_version_of_a_package(check: Check, tmp_path: Path) -> None:
    record = tmp_path / "other" / "numpy-0.0.9.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.0.9\n")
    found = broken(check(code=1, environment={"PYTHONPATH": str(record.parent)}))
    assert list(found) == ["versions"]
    assert "numpy (0.0.9 there, " in found["versions"]["text"]


def test_a_full_scratch(check: Check, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("needs the right to mount")
    try:
        found = broken(check(code=1, scratch=str(small)))
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert list(found) == ["scratch"]
    assert "full" in found["scratch"]["text"]


def test_a_probe_that_waits_is_told_why_and_cancelled(check: Check, slurm: Slurm) -> None:
    with _without(lambda: slurm.drain("n1"), lambda: slurm.resume("n1")):
        told = check(code=0, queue="debug", wait=8)
    assert {one["check"]: one["mark"] for one in told["checks"]}["pool default, submission"] == "warning"
    (probe,) = [one for one in told["checks"] if one["check"] == "probe"]
    assert probe["mark"] == "warning"
    assert "PENDING" in probe["text"]
    assert "--wait" in probe["cure"]
    assert slurm.queued("--name=cedar-check") == []


def test_people_read_a_line_for_each(slurm: Slurm, tmp_path: Path) -> None:
    (tmp_path / "daskflow.yaml").write_text(yaml.safe_dump({"sites": {"cedar": SITE | {"queue": "nothing"}}}))
    done = subprocess.run(
        [sys.executable, "-m", "daskflow", "site", "check", "cedar"],
        cwd=tmp_path,
        env=environment(**slurm.env),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "broken   pool default: there is no queue 'nothing'" in done.stdout
    assert "→ Name one of these by `queue`: " in done.stdout
    assert shutil.which("sbatch") is not None
