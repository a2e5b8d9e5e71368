from __future__ import annotations

import signal

import pytest

from daskflow.sites.endings import ENDED, Endings, Obituaries


@pytest.mark.parametrize(
    ("exitcode", "text"),
    [
        (0, "exited with code 0"),
        (-signal.SIGSEGV, "was killed by SIGSEGV"),
        (-signal.SIGKILL, "was killed by SIGKILL, by somebody or by a machine that ran out of memory"),
        (-99, "was killed by signal 99"),
    ],
)
def test_ends_in_words(exitcode: int, text: str) -> None:
    found = Obituaries()
    found.hear(ENDED, {"worker": "tcp://here:1", "exitcode": exitcode})
    assert found.of("tcp://here:1") == text
    assert found.of("tcp://here:2") == "went away"


def test_want_of_memory_is_the_cause_and_the_signal_its_means() -> None:
    found = Obituaries()
    found.hear("worker-restart-memory", {"worker": "a", "pid": 1, "rss": 2 * 2**30})
    found.hear(ENDED, {"worker": "a", "exitcode": -signal.SIGTERM})
    assert found.of("a") == "was stopped because it used 2 GiB, nearly all the memory that it may use"


def test_other_events_and_other_versions_of_dask_are_passed_over() -> None:
    found = Obituaries()
    found.hear("elsewhere", ("anything",))
    assert found.of("a") == "went away"
    Endings().setup(object())
