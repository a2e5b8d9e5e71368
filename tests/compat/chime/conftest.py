"""A directory for each test, buckets of its own wherever they may be kept, and a token as users have one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import daskflow
from tests.services.servers import ServerProcess

TOKENS = (
    "GITHUB_TOKEN",
    "WORKFLOW_TOKEN",
    "GITHUB_PAT",
    "GITHUB_ACCESS_TOKEN",
    "GITHUB_PERSONAL_ACCESS_TOKEN",
    "GITHUB_OAUTH_TOKEN",
    "GITHUB_OAUTH_ACCESS_TOKEN",
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; where nothing is configured the buckets are in it."""
    for name in (*TOKENS, "WORKFLOW_TAGS", "WORKFLOW_SITE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GITHUB_TOKEN", "of-ada")
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Server(NamedTuple):
    """`daskflow serve`, as a process."""

    url: str
    token: str


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests of this room; each leaves it empty."""
    home = tmp_path_factory.mktemp("server")
    (home / "daskflow.yaml").write_text("works: {sites: [chime]}\n")
    with ServerProcess(home) as process:
        yield Server(process.url, process.token("read", "deposit", "perform", "admin"))


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.integration),
        pytest.param("server", marks=pytest.mark.acceptance),
    ]
)
def store(request: pytest.FixtureRequest, here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the works are, as it is configured for who says nothing: a file, PostgreSQL, or a server."""
    (here / "daskflow.yaml").write_text("works: {sites: [chime]}\n")
    if request.param != "server":
        place = "works.db" if request.param == "sqlite" else request.getfixturevalue("postgres")
        monkeypatch.setenv("DASKFLOW_WORKS__STORE", place)
        yield place
        return
    found = request.getfixturevalue("server")
    monkeypatch.setenv("DASKFLOW_WORKS__STORE", found.url)
    monkeypatch.setenv("DASKFLOW_WORKS__TOKEN", found.token)
    yield found.url
    with daskflow.Buckets(found.url, token=found.token) as buckets:
        left = buckets.view(limit=-1)
        buckets.unlock(left)
        buckets.delete(left)
