"""What is looked at on a node, here on this machine."""

from __future__ import annotations

import ast
import fcntl
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daskflow.execution.doctor import node
from daskflow.execution.doctor.door import Door


def task(directory: Path, **changes: Any) -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": 1,
        "token": "word",
        "packages": ["numpy"],
        "objects": "",
        "patience": 120,
        "scratch": str(directory / "scratch"),
        "artifacts": "",
        "lock": str(directory / "lock"),
        "tls": [],
        **changes,
    }


def test_it_needs_nothing_but_python() -> None:
    tree = ast.parse(Path(node.__file__).read_text(), feature_version=(3, 7))
    names = {
        alias.name.partition(".")[0] for one in ast.walk(tree) if isinstance(one, ast.Import) for alias in one.names
    } | {one.module for one in ast.walk(tree) if isinstance(one, ast.ImportFrom) and one.module}
    assert names <= set(sys.stdlib_module_names)


def test_it_reports(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / "task.json").write_text(json.dumps(task(tmp_path, packages=["numpy", "no_such_package"])))
    subprocess.run([sys.executable, node.__file__, str(tmp_path)], check=True, timeout=120)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["packages"]["numpy"][1] == ""
    assert report["packages"]["no_such_package"][1].startswith("ModuleNotFoundError")
    assert (report["lock"], report["artifacts"], report["tls"], report["scratch"]["error"]) == ("free", "", "", "")
    assert report["network"]["reached"] is False
    assert "lo" in report["interfaces"]


def test_a_lock_that_another_process_has(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        code = f"from daskflow.execution.doctor.node import lock; print(lock({str(path)!r}))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "held"
    assert node.lock(str(tmp_path / "none")) == "No such file or directory"


def test_knocking(tmp_path: Path) -> None:
    with Door("127.0.0.1", "word") as door:
        assert node.knock(task(tmp_path, port=door.port)) == {"reached": True, "error": ""}
        assert node.knock(task(tmp_path, port=door.port, token="other"))["reached"] is False
    assert "refused" in node.knock(task(tmp_path, port=door.port))["error"]


def test_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASKFLOW_TEST_PLACE", str(tmp_path / "expanded"))
    found = node.scratch(task(tmp_path, scratch="$DASKFLOW_TEST_PLACE"))
    assert (found["place"], found["error"]) == (str(tmp_path / "expanded"), "")
    assert found["free"] > 0
    assert list((tmp_path / "expanded").iterdir()) == []
    (tmp_path / "file").touch()
    assert node.scratch(task(tmp_path, scratch=str(tmp_path / "file" / "x")))["error"] == "Not a directory"


def test_a_full_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert node.scratch(task(tmp_path))["error"] == "full"


def test_directories_and_certificates(tmp_path: Path) -> None:
    assert node.directory(str(tmp_path)) == ""
    assert node.directory(str(tmp_path / "none")) == "No such file or directory"
    (tmp_path / "bad.pem").write_text("nothing")
    bad = str(tmp_path / "bad.pem")
    assert node.certificates(task(tmp_path, tls=[bad, bad]))
    assert node.certificates(task(tmp_path)) == ""


def test_imports_that_crash_or_hang_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "crashes.py").write_text("import os, sys; print('oh', file=sys.stderr, flush=True); os._exit(3)")
    found = node.imports(task(tmp_path, packages=["crashes"]))
    assert (found["packages"], found["error"]) == ({}, "exit code 3: oh\n")
    (tmp_path / "hangs.py").write_text("import threading; threading.Event().wait()")
    with pytest.raises(subprocess.TimeoutExpired):
        node.imports(task(tmp_path, packages=["hangs"], patience=0.5))
