"""Files reach each node once, whole, whoever asks and whatever is killed: many processes before a real S3 server."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from daskflow.artifacts.artifact import Artifact
from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.contents.digests import digest_bytes, digest_file
from daskflow.artifacts.names import Names
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.uploading import Upload
from tests.acceptance.shell import environment, ran, run
from tests.execution.patience import until
from tests.services.counting import Counting, Request
from tests.services.s3 import S3

MIB = 1 << 20
PARTS = 6
SIZE = PARTS * 16 * MIB
PROCESSES, KILLS = 16, 20

ASK = """
import json, sys
from daskflow.artifacts.artifact import Artifact
from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.contents.digests import digest_file
from daskflow.artifacts.store import ObjectStore

url, options, cache, work = json.loads(sys.argv[1])
store = ObjectStore(url, options, NodeCache(cache))
Artifact.home = lambda: store
artifact = Artifact("raw/deep field.h5")
print("ready", flush=True)
sys.stdin.readline()
if work == "path":
    path = artifact.path()
    print(path.stat().st_ino, digest_file(path), flush=True)
elif work.startswith("download "):
    print(artifact.download(work.partition(" ")[2]), flush=True)
else:
    data = work.encode() * 1_000
    for i in range(50):
        artifact.upload(data * (i % 3 + 1))
"""


FLOW = """
from pathlib import Path

from daskflow import Artifact, flow, task


@task
def first(table: Artifact, i: int) -> bytes:
    with table.path().open("rb") as file:
        file.seek(i)
        return file.read(1)


@task
def copied(table: Artifact, name: str) -> Artifact:
    return Artifact(name).upload(table.path())


@flow
def study(name: str = "raw/changing") -> list:
    table = Artifact(name)
    jobs = [first(table, i) for i in range(24)]
    copy = copied(table, "copies/field.h5")
    return [b"".join(job.result() for job in jobs).hex(), copy.result().digest, first(copy, 0).result().hex()]
"""


class Node:
    """Processes of one node that use one store and one cache."""

    def __init__(self, store: ObjectStore, cache: Path) -> None:
        self._store = store
        self._cache = cache
        self._stack = ExitStack()

    def start(self, work: str) -> subprocess.Popen[str]:
        """A process that is ready for its work, and waits for `go`."""
        what = json.dumps([self._store.url, self._store.options, str(self._cache), work])
        command = [sys.executable, "-c", ASK, what]
        process = subprocess.Popen(
            command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._stack.enter_context(process)
        self._stack.callback(process.kill)
        assert said(process) == "ready"
        return process

    def close(self) -> None:
        self._stack.close()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.fixture(scope="module")
def large() -> bytes:
    return random.Random(20261121).randbytes(SIZE)


@pytest.fixture(scope="module")
def url(s3: S3, large: bytes) -> str:
    """A store with a large artifact in it."""
    url = s3.url(f"tests/{uuid.uuid4().hex}")
    store = ObjectStore(url, s3.options)
    Names(store).give(Upload(store, None)(large, "raw/deep field.h5"))
    return url


@pytest.fixture
def store(s3: S3, url: str, counting: Counting) -> ObjectStore:
    """The same behind the proxy that counts."""
    return ObjectStore(url, s3.through(counting.endpoint).options)


@pytest.fixture
def node(store: ObjectStore, tmp_path: Path) -> Iterator[Node]:
    made = Node(store, tmp_path / "cache")
    yield made
    made.close()


def test_many_processes_ask_and_one_transfer_serves_them(
    node: Node, counting: Counting, large: bytes, tmp_path: Path
) -> None:
    processes = [node.start("path") for _ in range(PROCESSES)]
    counting.reset()
    for process in processes:
        go(process)
    answers = {said(process) for process in processes}
    assert len(answers) == 1
    assert answers.pop().endswith(digest_bytes(large))
    assert SIZE <= counting.received < 1.02 * SIZE
    # And one that comes later, on the same node.
    late = node.start("path")
    counting.reset()
    go(late)
    assert said(late).endswith(digest_bytes(large))
    assert counting.received < MIB


@pytest.mark.parametrize("work", ["path", "download"])
def test_a_download_goes_on_where_a_kill_met_it(
    node: Node, counting: Counting, large: bytes, tmp_path: Path, work: str
) -> None:
    asked = iter(range(1000))
    killed = threading.Event()

    def hold_back(request: Request) -> None:
        if (request.method, "/objects/" in request.path) == ("GET", True) and next(asked) >= PARTS // 2:
            killed.wait(60)

    counting.on_request = hold_back
    first = node.start(_work(work, tmp_path))
    go(first)
    # What came is noted beside it, part by part.
    until(lambda: sum(len(note.read_bytes().split()) for note in tmp_path.rglob(".*.done")) == PARTS // 2)
    first.kill()
    first.wait()
    killed.set()
    counting.reset()
    _finish(node, work, tmp_path, large)
    assert counting.count("GET", "/objects/") == PARTS - PARTS // 2
    assert counting.received < (PARTS // 2 + 0.1) * SIZE / PARTS


@pytest.mark.parametrize("work", ["path", "download"])
def test_a_download_killed_at_any_moment_leaves_nothing_half(
    node: Node, counting: Counting, large: bytes, tmp_path: Path, work: str
) -> None:
    moments = random.Random(20260725)
    killed = 0
    for _ in range(KILLS // 2):
        process = node.start(_work(work, tmp_path))
        moment = counting.received + moments.randrange(SIZE // 2)
        go(process)
        until(lambda: counting.received >= moment or process.poll() is not None)  # noqa: B023
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        found = _found(work, tmp_path)
        assert [digest_file(path) for path in found] == [digest_bytes(large)] * len(found)
    assert killed > KILLS // 4
    _finish(node, work, tmp_path, large)


def _work(work: str, directory: Path) -> str:
    return work if work == "path" else f"download {directory / 'copy.h5'}"


def _found(work: str, directory: Path) -> list[Path]:
    return list(directory.glob("cache/objects/*/*" if work == "path" else "copy.h5"))


def _finish(node: Node, work: str, directory: Path, data: bytes) -> None:
    """Nobody kills the next one: then all is there, and nothing else."""
    last = node.start(_work(work, directory))
    go(last)
    assert said(last)
    assert [digest_file(path) for path in _found(work, directory)] == [digest_bytes(data)]
    assert list(directory.rglob(".*")) == []
    assert list(directory.glob("cache/incoming/*")) == []


@pytest.mark.parametrize("place", ["directory", "s3"])
def test_two_writers_of_one_name_and_nobody_sees_a_mixture(
    place: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "directory":
        store = ObjectStore(tmp_path / "store")
    else:
        server = request.getfixturevalue("s3")
        store = ObjectStore(server.url(request.getfixturevalue("prefix")), server.options)
    monkeypatch.setattr(Artifact, "home", lambda: store)
    possible = {digest_bytes(name.encode() * 1_000 * times) for name in ("one", "other") for times in (1, 2, 3)}
    node = Node(store, tmp_path / "cache")
    try:
        writers = [node.start(name) for name in ("one", "other")]
        for writer in writers:
            go(writer)
        seen = set()
        while any(writer.poll() is None for writer in writers):
            artifact = Artifact("raw/deep field.h5")
            if artifact.exists():
                with artifact.open() as file:
                    seen.add(digest_bytes(file.read()))
        assert [writer.returncode for writer in writers] == [0, 0]
    finally:
        node.close()
    assert seen
    assert seen <= possible


@pytest.mark.parametrize("name", ["map.fits", "figures/deep field Ω 'quoted'.png", "100% & more?.txt", "x" * 400])
def test_a_url_gives_the_bytes_to_anybody(
    s3: S3, prefix: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ObjectStore(s3.url(prefix), s3.options, NodeCache(tmp_path / "cache"))
    monkeypatch.setattr(Artifact, "home", lambda: store)
    artifact = Artifact(name).upload(b"bytes")
    with urllib.request.urlopen(artifact.url("5 min")) as answer:
        assert answer.read() == b"bytes"
    assert artifact.path().read_bytes() == b"bytes"
    assert Names(store).list() == [name]
    assert Artifact(name).digest == artifact.digest


def test_jobs_of_a_flow_share_one_transfer(
    counting: Counting, store: ObjectStore, large: bytes, tmp_path: Path
) -> None:
    (tmp_path / "study.py").write_text(FLOW)
    settings = {
        "artifacts": store.url,
        "storage": store.options,
        "cache": str(tmp_path / "cache"),
        "sites": {"local": {"kind": "processes", "workers": 4}},
    }
    (tmp_path / "daskflow.yaml").write_text(json.dumps(settings))
    names = Names(store)
    names.give(names.find("raw/deep field.h5")._replace(name="raw/changing"))
    counting.reset()
    outcome = run(tmp_path, "study.py:study")
    assert outcome["value"] == [large[:24].hex(), digest_bytes(large), large[:1].hex()]
    assert SIZE <= counting.received < 1.05 * SIZE
    assert counting.sent < MIB, "the copy has the same bytes"
    counting.reset()
    again = run(tmp_path, "study.py:study")
    assert (again["value"], ran(again)) == (outcome["value"], set())
    assert counting.received < MIB
    # Other bytes under the name: all that depends on them runs again.
    names.give(Upload(store, None)(large[:MIB], "raw/changing"))
    last = run(tmp_path, "study.py:study")
    assert (last["value"][0], last["value"][1]) == (large[:24].hex(), digest_bytes(large[:MIB]))
    assert ran(last) == {"first", "copied"}
