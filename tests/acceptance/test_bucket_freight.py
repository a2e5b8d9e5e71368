"""Bucket jobs that take and give more than fits into a work, performed where nothing but the server is in reach."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.islands import OTHER_NETWORK, Island
from tests.acceptance.shell import daskflow, environment, run
from tests.execution.patience import until
from tests.services.daemons import Daemons
from tests.services.s3 import S3

pytestmark = pytest.mark.integration

STUDY = """
import os
from pathlib import Path

import numpy as np

from daskflow import Artifact, current, flow, task

COUNT = (20 << 20) // 8


@task
def observe(seed: int):
    return np.random.default_rng(seed).random(COUNT)


@task(placement="bucket")
def smooth(waterfall, kernel, scale):
    return waterfall * scale + kernel


@task(placement="bucket")
def double(smoothed):
    return 2 * smoothed


@task(placement="bucket")
def survey(catalogue: Artifact, images: Artifact) -> dict:
    found = {str(path.relative_to(images.path())): path.stat().st_size for path in images.path().rglob("*.img")}
    return {"files": found, "bytes": catalogue.path().read_bytes()}


@task(placement="bucket")
def sample(steps: int):
    step, state = current().restore((0, None))
    if step < steps:
        current().hand_over((step + 1, np.full(COUNT, 7.0)))
    return step, float(state.sum())


@task
def compare(doubled, found: dict, sampled) -> list:
    expected = 2 * (np.random.default_rng(1).random(COUNT) * np.arange(COUNT, dtype=float) + np.ones(COUNT))
    equal = bool(np.array_equal(doubled, expected))
    return [equal, found["files"], found["bytes"] == Path("catalogue").read_bytes(), list(sampled)]


@flow
def study() -> list:
    catalogue, images = Artifact("catalogue").upload("catalogue"), Artifact("images").upload("images")
    smoothed = smooth(observe(1), np.ones(COUNT), np.arange(COUNT, dtype=float))
    return compare(double(smoothed), survey(catalogue, images), sample(1))
"""
MIB = 1 << 20
BUCKETS = ("smooth", "double", "survey", "sample")
EXPECTED = [True, {"a.img": 20 * MIB, "deep/b.img": 100}, True, [1, 7.0 * 20 * MIB / 8]]


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    made = Daemons(tmp_path, environment())
    yield made
    made.close()


def directory(path: Path, **settings: Any) -> Path:
    """A directory with a configuration, and with the key of the project."""
    path.mkdir(exist_ok=True)
    (path / "key").write_text("ab" * 32)
    (path / "key").chmod(0o600)
    (path / "daskflow.yaml").write_text(json.dumps({"signing_key": str(path / "key"), **settings}))
    return path


def project(path: Path, **settings: Any) -> Path:
    """A directory with the flow and its files."""
    directory(path, **settings)
    (path / "study.py").write_text(STUDY)
    (path / "catalogue").write_bytes(os.urandom(20 * MIB))
    (path / "images" / "deep").mkdir(parents=True)
    (path / "images" / "a.img").write_bytes(os.urandom(20 * MIB))
    (path / "images" / "deep" / "b.img").write_bytes(os.urandom(100))
    return path


def token(server: Path, *scopes: str) -> str:
    """One of the server."""
    options = [word for scope in scopes for word in ("--scope", scope)]
    return str(json.loads(daskflow(server, "token", "create", "a-token", *options, "--json"))["token"])


@OTHER_NETWORK
@pytest.mark.parametrize("kind", ["directory", "s3", "same"])
def test_large_values_go_by_way_of_the_server(
    kind: str, tmp_path: Path, daemons: Daemons, request: pytest.FixtureRequest
) -> None:
    """The artifacts of the server lie in its own directory, in an object storage, or are those of the flow."""
    settings: dict[str, Any] = {}
    if kind == "s3":
        s3, prefix = request.getfixturevalue("s3"), request.getfixturevalue("prefix")
        assert isinstance(s3, S3)
        settings = {"artifacts": s3.url(prefix), "storage": s3.options}
    here = project(tmp_path / "project")
    server = here if kind == "same" else directory(tmp_path / "server", **settings)
    with Island() as island:
        serve = [sys.executable, "-m", "daskflow", "serve", "--host", island.here, "--port", "0", "--insecure"]
        daemons.start("server", ["sh", "-c", 'cd "$0" && exec "$@"', server, *serve])
        until(lambda: "Serving http" in daemons.log("server"))
        (url,) = re.findall(r"Serving (http://\S+)", daemons.log("server"))
        if kind != "same":
            directory(here, works={"store": url, "token": token(server, "deposit", "read")})
        there = directory(tmp_path / "island", works={"store": url, "token": token(server, "perform")})
        agent = [sys.executable, "-m", "daskflow", "work", "run", *BUCKETS, "--site", "local", "--sleep", "1"]
        command = island.command(agent, there, here, *{server} - {here})
        daemons.start("agent", ["env", f"PYTHONPATH={os.getcwd()}", *command])
        outcome = run(here, "study.py:study")
        assert outcome["value"] == EXPECTED
        assert not (there / ".daskflow").exists()
