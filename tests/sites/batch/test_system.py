from __future__ import annotations

import pytest

from daskflow.sites.batch.system import Ask, Certificate, log_of


@pytest.mark.parametrize(
    ("id", "path"),
    [
        ("123_4", "/a-4.log"),
        ("123[4].server01", "/a-4.log"),
        ("123[4]", "/a-4.log"),
        ("123.4", "/a-4.log"),
        ("1234", "/a-1234.log"),
    ],
)
def test_jobs_of_an_array_have_logs_of_their_own(id: str, path: str) -> None:
    assert log_of(Ask("a", 1, 1, 1.0, "/a-%s.log", count=9), id) == path


def test_the_log_of_a_single_job_is_what_was_asked_for() -> None:
    assert log_of(Ask("a", 1, 1, 1.0, "/a.log"), "123.server4") == "/a.log"


def test_a_certificate_tells_what_is_known() -> None:
    assert Certificate("1", "", "COMPLETED", 0).text == "batch job 1: COMPLETED"
    full = Certificate("1", "NodeFailure", "NODE_FAIL", 1, 9, "n1", reason="power")
    assert full.text == "batch job 1: NODE_FAIL, exit code 1, signal 9, on n1, power"
