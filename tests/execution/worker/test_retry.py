from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from daskflow.errors import CodeMismatch, JobTimeout
from daskflow.execution.worker.retry import Retry, jittered, retry_on


def test_classes_decide() -> None:
    retry = Retry((OSError, KeyError))
    assert retry.worth(FileNotFoundError(), 1)
    assert not retry.worth(ValueError(), 1)


def test_what_may_be_gone_the_next_time_is_worth_it_whatever_the_classes() -> None:
    retry = Retry((OSError,))
    assert retry.worth(JobTimeout("late"), 1)
    assert not retry.worth(CodeMismatch("other code"), 1)


def test_a_function_decides_on_everything() -> None:
    retry = Retry(lambda error, attempts: attempts < 3 and "busy" in str(error))
    assert [retry.worth(OSError("busy"), attempts) for attempts in (1, 2, 3)] == [True, True, False]
    assert not retry.worth(JobTimeout("late"), 1)


def test_jobs_of_one_policy_share_it() -> None:
    assert retry_on((OSError,)) is retry_on((OSError,))
    assert retry_on((OSError,)) is not retry_on((ValueError,))

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, error: BaseException, attempts: int) -> bool:
            return attempts == 7

    assert retry_on(Unhashable()).worth(OSError(), 7)


def test_it_travels_by_value_and_is_made_once_there() -> None:
    limit = 5
    packed = pickle.dumps(Retry(lambda error, attempts: attempts < limit))
    assert pickle.loads(packed).worth(OSError(), 4)
    assert pickle.loads(packed) is pickle.loads(packed)


def test_classes_of_a_script_reach_a_process_that_does_not_have_it() -> None:
    script = (
        "import pickle, sys\n"
        "from daskflow.execution.worker.retry import Retry\n"
        "class Own(Exception): pass\n"
        "sys.stdout.buffer.write(pickle.dumps(Retry((Own,))))\n"
    )
    packed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    assert not pickle.loads(packed).worth(OSError(), 1)


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_pauses_are_longer_or_shorter_by_a_fraction(jitter: float) -> None:
    pauses = [jittered(8.0, jitter) for _ in range(200)]
    assert all(8 * (1 - jitter) <= pause <= 8 * (1 + jitter) for pause in pauses)
    assert len(set(pauses)) == (200 if jitter else 1)
