"""Objects as files survive kills, rivals and full disks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.places.directory import Directory
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.errors import ArtifactError

SIZE = 64 << 20
DATA = bytes(range(256)) * (SIZE // 256)
DIGEST = digest_bytes(DATA)

PUT = f"""
    import sys
    from daskflow.artifacts.store import ObjectStore
    data = bytes(range(256)) * ({SIZE} // 256)
    store = ObjectStore(sys.argv[1])
"""


def start(code: str, root: Path) -> subprocess.Popen[str]:
    program = textwrap.dedent(PUT) + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", program, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.2])
def test_killed_put_leaves_nothing_or_all(tmp_path: Path, delay: float) -> None:
    process = start("print('ready', flush=True); input(); store.put(data); print('done', flush=True)", tmp_path)
    with process:
        assert said(process) == "ready"
        tell(process)
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        finished = said(process) == "done"
    place = Directory(tmp_path)
    assert place.size(DIGEST) in ((SIZE,) if finished else (None, SIZE))
    if place.size(DIGEST):
        assert digest_bytes(place.read(DIGEST)) == DIGEST


def test_kill_in_the_very_middle(tmp_path: Path) -> None:
    code = """
        import time
        def halting():
            yield data[: len(data) // 2]
            print("half", flush=True)
            time.sleep(60)
        from daskflow.artifacts.places.directory import Directory
        Directory(sys.argv[1]).write("%s", halting())
    """
    with start(code % DIGEST, tmp_path) as process:
        assert said(process) == "half"
        os.kill(process.pid, signal.SIGKILL)
    place = Directory(tmp_path)
    assert place.size(DIGEST) is None
    assert place.sweep() == 0, "it might be a slow write"
    assert place.sweep(older=-1) >= SIZE // 2 - (1 << 20)
    assert list((tmp_path / "incoming").iterdir()) == []
    place.write(DIGEST, [DATA])
    assert place.size(DIGEST) == SIZE


def test_two_processes_put_the_same(tmp_path: Path) -> None:
    code = "print('ready', flush=True); input(); store.put(data); print('done', flush=True)"
    with start(code, tmp_path) as one, start(code, tmp_path) as two:
        assert [said(one), said(two)] == ["ready", "ready"]
        tell(one)
        tell(two)
        assert [said(one), said(two)] == ["done", "done"]
    assert digest_bytes(Directory(tmp_path).read(DIGEST)) == DIGEST
    assert list((tmp_path / "incoming").iterdir()) == []


def test_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: both end a write in its middle."""
    code = """
        import resource, signal
        from daskflow.errors import ArtifactError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        try:
            store.put(data)
        except ArtifactError as error:
            print(error, flush=True)
        print(store.put(b"small"), flush=True)
    """
    with start(code, tmp_path) as process:
        assert "No room is left in the artifact store" in said(process)
        assert said(process) == digest_bytes(b"small")
    assert Directory(tmp_path).size(DIGEST) is None
    assert list((tmp_path / "incoming").iterdir()) == []


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 1 MiB."""
    root = tmp_path / "full"
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(root)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount")
    yield root
    subprocess.run(["umount", str(root)], check=True)


def test_full_filesystem(full: Path) -> None:
    with pytest.raises(ArtifactError, match="No space left on device"):
        Directory(full).write(DIGEST, [DATA])
    assert Directory(full).size(DIGEST) is None
    assert list((full / "incoming").iterdir()) == []


@pytest.mark.parametrize("chunks", [None, 10_000])
def test_full_filesystem_met_by_a_library(full: Path, chunks: int | None) -> None:
    dataset = xr.Dataset({"a": ("x", np.random.default_rng(1).random(500_000))})
    with pytest.raises(ArtifactError, match=r"No room is left .*No space left on device"):
        Values(ObjectStore(full)).dump(dataset if chunks is None else dataset.chunk(x=chunks))
    assert list((full / "incoming").iterdir()) == []


def test_more_objects_than_descriptors(tmp_path: Path) -> None:
    # In a process of its own: there others do not run out of descriptors.
    code = (
        "import resource, sys\n"
        "from daskflow.artifacts.places.directory import Directory\n"
        "data, place, name = bytes(range(256)) * 4096, Directory(sys.argv[1]), 'a' * 32\n"
        "place.write(name, [data])\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n"
        "read = [Directory(sys.argv[1]).read(name) for _ in range(150)]\n"
        "assert all(bytes(found) == data for found in read)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)


def test_error_of_the_caller_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), Directory(tmp_path).temporary():
        raise PermissionError(13, "not ours")


def test_failing_source_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> object:
        yield b"some"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        Directory(tmp_path).write(DIGEST, failing())  # type: ignore[arg-type]
    assert Directory(tmp_path).size(DIGEST) is None
    assert list((tmp_path / "incoming").iterdir()) == []


def test_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    place = Directory(tmp_path / "file")
    assert place.size(DIGEST) is None
    with pytest.raises(ArtifactError, match="cannot be written"):
        place.write(DIGEST, [b""])


def test_removed_object_stays_mapped(tmp_path: Path) -> None:
    place = Directory(tmp_path)
    place.write(DIGEST, [DATA])
    data = place.read(DIGEST)
    place.remove(DIGEST)
    assert digest_bytes(data) == DIGEST


def test_old_object_is_made_young(tmp_path: Path) -> None:
    place = Directory(tmp_path)
    place.write(DIGEST, [DATA])
    os.utime(place.path(DIGEST), (1, 1))
    assert not place.keep(DIGEST, SIZE + 1)
    assert place.keep(DIGEST, SIZE)
    [(_, size, changed)] = place.objects()
    assert size == SIZE
    assert changed > 1e9


def test_known_file_is_not_copied_again(tmp_path: Path) -> None:
    place, done = Directory(tmp_path / "store"), list[int]()
    (tmp_path / "file").write_bytes(DATA)
    for _ in range(2):
        assert place.store_file(tmp_path / "file", digest=None, progress=done.append) == DIGEST
        inode = place.path(DIGEST).stat().st_ino
    assert place.path(DIGEST).stat().st_ino == inode
    assert sum(done) == 2 * SIZE
    assert list((tmp_path / "store" / "incoming").iterdir()) == []


def test_stream_that_cannot_be_read(tmp_path: Path) -> None:
    unreadable = pytest.raises(ArtifactError, match="What is to be stored cannot be read")
    with open("/proc/self/mem", "rb", buffering=0) as file, unreadable:
        Directory(tmp_path).store_stream(file, lambda _: None)
    assert list((tmp_path / "incoming").iterdir()) == []


def test_notes_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    place = Directory(tmp_path)
    assert place.write_note("a", b"mine", create=True)
    assert place.write_note("a", b"mine", create=True)
    assert not place.write_note("a", b"yours", create=True)
    assert place.read_note("a") == b"mine"
