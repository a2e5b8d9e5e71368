"""What command jobs give."""

import pickle

import pytest

from daskflow.artifacts.artifact import Artifact
from daskflow.errors import OutputMissing
from daskflow.execution.commanding.result import CommandResult, Ended, Files
from tests.conftest import Lab

RESULT = CommandResult((Ended("true", 0), Ended("false", 1)), Files(), b"one\ntwo\nthree\n", b"\xff oh\n")


def test_output_as_text() -> None:
    assert RESULT.stdout() == "one\ntwo\nthree\n"
    assert RESULT.stdout(tail=2) == "two\nthree\n"
    assert RESULT.stdout(tail=0) == ""
    assert RESULT.stderr() == "\ufffd oh\n", "what is no UTF-8 is shown all the same"
    assert str(RESULT) == "one\ntwo\nthree"
    assert RESULT.exit_codes == (0, 1)


def test_large_output_is_read_from_the_store(lab: Lab) -> None:
    large = lab.artifact("stdout", b"line\n" * 10000)
    assert CommandResult((), Files(), large).stdout(tail=1) == "line\n"


def test_a_file_that_is_not_there_is_told_with_those_that_are() -> None:
    files = Files({"dump.100": Artifact("dump.100"), "log": Artifact("log")})
    with pytest.raises(OutputMissing, match=r"no output file 'dump.10'; it left 'dump.100'"):
        files["dump.10"]
    with pytest.raises(OutputMissing, match="it left none"):
        Files()["x"]


def test_it_travels() -> None:
    assert pickle.loads(pickle.dumps(RESULT)) == RESULT
