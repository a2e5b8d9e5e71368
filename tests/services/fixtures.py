"""Fixtures of services; `tests/conftest.py` names them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import pbs as torque
from tests.services import postgres as postgresql
from tests.services import s3 as seaweed
from tests.services import sge as engines
from tests.services import slurm as slurms
from tests.services.counting import Counting
from tests.services.slurmcalls import SlurmCalls


def lacking(what: str, cure: str) -> None:
    """Skip a test whose service this machine does not have; in continuous integration that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is not installed: {cure}")
    pytest.skip(f"needs {what}: {cure}")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.S3]:
    """A real S3 server with a bucket, one for all tests; each takes a prefix of its own."""
    if seaweed.weed() is None:
        lacking("SeaweedFS", seaweed.INSTALL)
    with seaweed.running(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def prefix() -> str:
    """A place in the bucket that no other test knows."""
    return f"tests/{uuid.uuid4().hex}"


@pytest.fixture
def counting(s3: seaweed.S3) -> Iterator[Counting]:
    """A proxy before the server: it counts, and does what servers do on bad days."""
    with Counting(s3.endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgresql.Postgres]:
    """A real PostgreSQL, one for all tests; each takes a schema of its own."""
    if postgresql.programs() is None:
        lacking("PostgreSQL", postgresql.INSTALL)
    with postgresql.running() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: postgresql.Postgres) -> Iterator[str]:
    """The URL of a store yet to be made, in a schema of its own."""
    with postgres_server.journal() as url:
        yield url


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurms.Slurm]:
    """A real Slurm of 4 nodes, one for all tests; each calls `slurm.activate(monkeypatch)`, and cleans up its jobs."""
    if missing := slurms.missing():
        lacking(", ".join(missing), slurms.INSTALL)
    with slurms.running(tmp_path_factory.mktemp("slurm"), nodes=4) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def slurm_accounting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurms.Slurm]:
    """Another one, of 2 nodes, whose `sacct` knows the jobs of the past."""
    if missing := slurms.missing(accounting=True):
        lacking(", ".join(missing), slurms.INSTALL_ACCOUNTING)
    with slurms.running(tmp_path_factory.mktemp("slurm"), nodes=2, accounting=True) as cluster:
        yield cluster


@pytest.fixture
def slurm_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlurmCalls:
    """Counts how often this test calls squeue and the others."""
    calls = SlurmCalls(tmp_path / "calls")
    calls.activate(monkeypatch)
    return calls


@pytest.fixture(scope="session")
def sge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[engines.Sge]:
    """A real Grid Engine of one node with 8 cores; each test calls `sge.activate(monkeypatch)`."""
    if missing := engines.missing():
        lacking(", ".join(missing), engines.INSTALL)
    with engines.running(tmp_path_factory.mktemp("sge") / "cluster") as system:
        yield system


@pytest.fixture
def pbs(slurm: slurms.Slurm) -> torque.Pbs:
    """The programs of PBS over the Slurm of all tests; each calls `pbs.activate(monkeypatch)`."""
    if torque.missing():
        lacking("qsub over Slurm", torque.INSTALL)
    return torque.Pbs(slurm)
