from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.execution.context.changes import Draft, content, packed, unpacked
from daskflow.model.records import ContextRecord

RECORD = ContextRecord(run="run", name="a")


@pytest.mark.parametrize("value", [None, True, 3, 0.1, "ü", [1, [2]], {"a": {"b": None}}])
def test_what_json_gives_back_as_it_was_is_kept_as_json(value: Any) -> None:
    record = packed(RECORD, value, Values(None))
    assert (record.format, record.value) == ("", value)
    assert unpacked(record, Values(None)) == value


@pytest.mark.parametrize("value", [(1, 2), {1: "a"}, {"a": (1,)}, b"bytes", {"s"}, Path("/a"), 1 + 2j])
def test_anything_else_is_stored_as_results_are(value: Any) -> None:
    record = packed(RECORD, value, Values(None))
    assert record.format.startswith("pickle#")
    found = unpacked(record, Values(None))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("value", [np.arange(1000.0), "long " * 1000])
def test_large_values_go_to_the_artifact_store(tmp_path: Path, value: Any) -> None:
    values = Values(ObjectStore(str(tmp_path)), inline_limit=100)
    record = packed(RECORD, value, values)
    assert record.inline is None
    assert record.value is None
    np.testing.assert_array_equal(unpacked(record, values), value)


def test_what_is_unpacked_may_be_changed() -> None:
    record = packed(RECORD, {"a": [1]}, Values(None))
    unpacked(record, Values(None))["a"].append(2)
    assert unpacked(record, Values(None)) == {"a": [1]}


def test_values_that_differ_in_type_differ_in_content() -> None:
    assert len({content(value) for value in (1, True, 1.0, "1", [1], (1,))}) == 6


def test_contents_are_the_same_in_every_process() -> None:
    code = """
        import pathlib
        from pydantic import BaseModel
        from daskflow.execution.context.changes import content

        class Clean(BaseModel):
            niter: int
            gain: float
            mask: str

        print(content(Clean(niter=1, gain=0.1, mask="auto")), content({"a", "b", "c"}), content(pathlib.Path("/none")))
    """
    told = [
        subprocess.check_output([sys.executable, "-c", textwrap.dedent(code)], env={"PYTHONHASHSEED": seed}, text=True)
        for seed in "123"
    ]
    assert len(set(told)) == 1
    assert len(set(told[0].split())) == 3


def test_a_value_without_a_key_counts_by_its_bytes() -> None:
    made = object.__new__(_Keyless)
    record = packed(RECORD, made, Values(None))
    assert record.content == record.digest != ""


class _Keyless:
    def __dask_tokenize__(self) -> object:
        return object()


def test_a_draft_holds_what_a_journal_would() -> None:
    draft = Draft()

    def add(name: str, stage: str, value: object, before: int) -> bool:
        return draft.add_context([(before, ContextRecord(run="r", name=name, stage=stage, value=value))])

    assert add("a", "import", 1, 0)
    assert add("b", "clean", 2, 0)
    assert add("a", "import", 3, 1)
    assert not add("a", "import", 4, 1)
    assert [record.value for record in draft.context_history("r", "a")] == [1, 3]
    assert [(record.name, record.version) for record in draft.context_now("r", 0.0)] == [("b", 1), ("a", 2)]
    assert draft.context_places("r", 0.0) == [("a", "import"), ("b", "clean")]
    assert draft.context_latest("r", "a", epoch=0.0, stage="clean") is None
