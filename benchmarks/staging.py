"""Benchmarks of staging: objects to a real S3 server and back, beside the fastest plain clients of the same server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from obstore.store import S3Store

from benchmarks.figures import Budget, Figure
from daskflow.artifacts.store import ObjectStore
from tests.services import s3 as seaweed

MIB = 1 << 20
PART = 16 * MIB
THREADS = 8
SMALL = 16_000
"""Size of a small object [bytes]."""
_MEMORY = Path("/dev/shm")
_LIMIT = 1 / 0.9
"""A rate of at least 0.9 is a time of at most this."""


class Bench:
    """A server, a file that is new in every round, and three clients.

    Parameters
    ----------
    server
        A real one.
    directory
        Room for three times the size, and as much again for each round.
    landing
        Where downloads go.
    size
        Of the file [bytes].
    """

    def __init__(self, server: seaweed.S3, directory: Path, landing: Path, size: int) -> None:
        self.server = server
        self.size = size
        self.source = directory / "source"
        self._target = landing / "target"
        self.store = ObjectStore(server.url("ours"), server.options)
        config: Any = server.options
        self.plain = S3Store(seaweed.BUCKET, config=config, client_options={"allow_http": True, "timeout": "300s"})
        self.digest = ""
        self._number = 0

    def renew(self, number: int) -> None:
        """Other contents under other keys. Nothing is removed: the server would be busy with that while it is timed."""
        self._number = number
        noise = os.urandom(MIB)
        with open(self.source, "wb") as file:
            for block in range(self.size // MIB):
                file.write(b"%16d" % (number * 1_000_000 + block) + noise[16:])

    def up(self) -> None:
        """By daskflow: hashed while it is read."""
        self.digest = self.store.put_file(self.source)

    def down(self) -> None:
        """By daskflow: each part verified."""
        self.store.download(self.digest, self._fresh(), self.size)

    def plain_up(self) -> None:
        """By obstore, in parts as large and as many at once."""
        self.plain.put(
            f"plain{self._number}", self.source, use_multipart=True, chunk_size=PART, max_concurrency=THREADS
        )

    def plain_down(self) -> None:
        """By obstore, in parallel ranges."""
        file = os.open(self._fresh(), os.O_RDWR | os.O_CREAT)
        os.ftruncate(file, self.size)

        def bring(start: int) -> None:
            data = self.plain.get_range(f"plain{self._number}", start=start, end=min(start + PART, self.size))
            os.pwrite(file, memoryview(data), start)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(bring, range(0, self.size, PART)))
        os.close(file)

    def s5cmd_up(self) -> None:
        """By s5cmd."""
        self.s5cmd(str(self.source), f"s3://{seaweed.BUCKET}/s5cmd{self._number}")

    def s5cmd_down(self) -> None:
        """By s5cmd."""
        self.s5cmd(f"s3://{seaweed.BUCKET}/s5cmd{self._number}", str(self._fresh()))

    def s5cmd(self, source: str, target: str) -> None:
        """Copy, in parts as large and as many at once."""
        program = Path(sys.executable).with_name("s5cmd")
        options = ["--concurrency", str(THREADS), "--part-size", str(PART // MIB)]
        subprocess.run(
            [str(program), "--endpoint-url", self.server.endpoint, "--log", "error", "cp", *options, source, target],
            env={**os.environ, **self.server.environ},
            check=True,
        )

    def _fresh(self) -> Path:
        self._target.unlink(missing_ok=True)
        return self._target


def staging(*, quick: bool, rounds: int) -> list[Figure]:
    """A large file to an S3 server and back, beside obstore and s5cmd."""
    size = (64 if quick else 1024) * MIB
    with _bench(size) as bench:
        bench.renew(0)
        for each in (bench.up, bench.plain_up, bench.s5cmd_up, bench.down):
            each()
        ups, downs = [], []
        for number in range(1, rounds + 1):
            bench.renew(number)
            ups.append(_round(number, bench.up, bench.plain_up, bench.s5cmd_up))
            downs.append(_round(number, bench.down, bench.plain_down, bench.s5cmd_down))
        label = f"{size // MIB:,} MiB"
        return [_figure(f"{label} to S3", ups), _figure(f"{label} from S3", downs)]


def small_objects(*, quick: bool, rounds: int) -> list[Figure]:
    """Many small objects to an S3 server and back."""
    count = 200 if quick else 2_000
    with _bench(0) as bench, ThreadPoolExecutor(2 * THREADS) as pool:
        # The first round warms connections and server.
        found = [_small(bench, pool, number, count) for number in range(rounds + 1)][1:]
    label = f"{count:,} objects of 16 kB"
    puts, gets = zip(*found, strict=True)
    return [_figure(f"{label} to S3", puts), _figure(f"{label} from S3", gets)]


def _small(bench: Bench, pool: ThreadPoolExecutor, number: int, count: int) -> tuple[list[float], list[float]]:
    noise = os.urandom(SMALL - 16)
    data = [b"%16d" % (number * count + each) + noise for each in range(count)]
    keys = [f"plain{number}/{each}" for each in range(count)]
    digests: list[str] = []
    with tempfile.TemporaryDirectory(prefix="daskflow-bench-") as files:
        for each, content in enumerate(data):
            Path(files, str(each)).write_bytes(content)
        puts = _round(
            number,
            lambda: digests.extend(pool.map(bench.store.put, data)),
            lambda: list(pool.map(bench.plain.put, keys, data)),
            lambda: bench.s5cmd(f"{files}/*", f"s3://{seaweed.BUCKET}/s5cmd{number}/"),
        )
        gets = _round(
            number,
            lambda: list(pool.map(lambda digest: bench.store.get(digest, SMALL), digests)),
            lambda: list(pool.map(lambda key: bytes(bench.plain.get(key).bytes()), keys)),
            lambda: bench.s5cmd(f"s3://{seaweed.BUCKET}/s5cmd{number}/*", f"{files}/"),
        )
    return puts, gets


@contextmanager
def _bench(size: int) -> Iterator[Bench]:
    if seaweed.weed() is None:
        raise RuntimeError(f"there is no SeaweedFS here: {seaweed.INSTALL}")
    scratch = tempfile.TemporaryDirectory(prefix="daskflow-bench-", ignore_cleanup_errors=True)
    # In memory where there is room: what a disk makes of a gigabyte is no matter of the clients.
    memory = _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 4 * size else None
    landing = tempfile.TemporaryDirectory(prefix="daskflow-bench-", dir=memory, ignore_cleanup_errors=True)
    with scratch as directory, landing as below, seaweed.running(Path(directory, "s3")) as server:
        yield Bench(server, Path(directory), Path(below), size)


def _round(number: int, *measures: Callable[[], object]) -> list[float]:
    """Times of ours, obstore and s5cmd [s]; each is first, second and last in turn."""
    found = dict[int, float]()
    for turn in range(len(measures)):
        which = (number + turn) % len(measures)
        os.sync()  # nobody pays for what another wrote
        start = time.perf_counter()
        measures[which]()
        found[which] = time.perf_counter() - start
    return [found[which] for which in range(len(measures))]


def _figure(what: str, found: Sequence[list[float]]) -> Figure:
    ours, plain, s5cmd = zip(*found, strict=True)
    fastest = tuple(min(pair) for pair in zip(plain, s5cmd, strict=True))
    note = f"obstore {median(plain):.2f} s, s5cmd {median(s5cmd):.2f} s"
    return Figure(what, "s", tuple(ours), fastest, "the faster of two", Budget("ratio", _LIMIT), note=note)


ITEMS: dict[str, Callable[..., list[Figure]]] = {"staging": staging, "small": small_objects}
