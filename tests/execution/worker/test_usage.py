from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest

from daskflow.execution.worker import usage
from daskflow.execution.worker.usage import Usage, peak_memory


def burn(seconds: float) -> None:
    stop = time.thread_time() + seconds
    while time.thread_time() < stop:
        sum(range(1000))


def test_cpu_time_of_a_known_load() -> None:
    found = Usage()
    found.begin()
    burn(0.2)
    cpu, _ = found.end()
    assert 0.2 <= cpu < 1.0


def test_waiting_costs_no_cpu_time() -> None:
    found = Usage()
    found.begin()
    threading.Event().wait(1.0)
    cpu, _ = found.end()
    assert cpu < 0.9, "other threads of this process may cost some"


def test_threads_of_libraries_count_while_one_job_is_performed() -> None:
    found = Usage()
    found.begin()
    helper = threading.Thread(target=burn, args=(0.1,))
    helper.start()
    helper.join()
    cpu, _ = found.end()
    assert cpu >= 0.1


def test_each_of_several_jobs_counts_for_itself() -> None:
    first, second = Usage(), Usage()
    first.begin()
    second.begin()
    helper = threading.Thread(target=burn, args=(0.2,))
    helper.start()
    helper.join()
    cpu, _ = second.end()
    assert cpu < 0.1, "the other thread is not its own"
    first.end()
    assert usage._active == 0


def test_peak_memory_of_a_known_load() -> None:
    before = peak_memory()
    found = Usage()
    found.begin()
    data = np.ones(200 * 2**17)  # 200 MiB
    assert data.sum() > 0
    del data
    _, memory = found.end()
    assert memory > before * 0.5
    assert memory > 200 * 2**20


def test_what_children_used_counts() -> None:
    found = Usage()
    found.begin()
    found.add(3.0, 2**50)
    found.add(1.0, 2**40)
    cpu, memory = found.end()
    assert cpu >= 4.0
    assert memory == 2**50
    found.begin()
    assert found.end()[0] < 1.0, "of one attempt only"


def test_an_attempt_in_a_process_of_its_own_has_the_memory_of_that_one() -> None:
    found = Usage()
    found.begin()
    found.add(0.0, 5000)
    assert found.end()[1] == 5000
    found.begin()
    assert found.end()[1] > 10**6, "the next one is made in this process"


def test_what_was_there_before_a_fork_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "peak_memory", lambda: 700)
    found = Usage(beyond=300)
    found.begin()
    assert found.end()[1] == 400


def test_a_fork_begins_anew() -> None:
    with usage._lock:
        pid = os.fork()
        if pid == 0:
            found = Usage()
            found.begin()
            os._exit(usage._active)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_many_short_attempts_read_the_memory_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []

    def read() -> int:
        reads.append(1)
        return 7

    monkeypatch.setattr(usage, "peak_memory", read)
    found = Usage()
    for _ in range(1000):
        found.begin()
        assert found.end()[1] == 7
    assert len(reads) < 100
