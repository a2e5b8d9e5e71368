from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from daskflow.artifacts.values import Values
from daskflow.errors import NotFound
from daskflow.execution.context.changes import packed
from daskflow.execution.context.snapshot import Snapshot
from daskflow.graph.encoding import Encoder
from daskflow.graph.task import code_text
from daskflow.model.records import ContextRecord

VALUES = Values(None)


def snapshot(*changes: tuple[str, str, object], defaults: dict[str, object] | None = None, run: str = "r") -> Snapshot:
    def record(name: str, stage: str, value: object) -> ContextRecord:
        return packed(ContextRecord(run=run, name=name, stage=stage), value, VALUES)

    given = [record(name, "", value) for name, value in (defaults or {}).items()]
    return Snapshot([record(*change) for change in changes], VALUES, given)


def test_it_holds_the_latest_values() -> None:
    found = snapshot(("a", "import", 1), ("a", "clean", 2), ("b", "clean", np.arange(3)), defaults={"c": 7, "a": 0})
    assert (found["a"], found["c"], list(found["b"])) == (2, 7, [0, 1, 2])
    assert (found.get("a", stage="import"), found.get("a", stage="other"), found.get("none", 5)) == (1, 0, 5)
    assert (list(found), found.stages(), len(found)) == (["a", "b", "c"], ["import", "clean"], 3)
    assert "c" in found
    assert dict(found)["a"] == 2
    with pytest.raises(NotFound, match=r"no 'd'\. It has: a, b, c"):
        found["d"]


def test_nothing_changes_it() -> None:
    found = snapshot(("a", "", [1]), defaults={"d": [1]})
    found["a"].append(2)
    found["d"].append(2)
    assert (found["a"], found["d"]) == ([1], [1])
    with pytest.raises(TypeError):
        found["a"] = 2  # type: ignore[index]
    assert copy.deepcopy(found) is found


def test_it_pickles() -> None:
    found = snapshot(("a", "import", {"x": 1}), ("b", "", np.arange(3)))
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    assert again["a"] == {"x": 1}


def test_equal_contents_give_equal_keys() -> None:
    encode = Encoder(code_text, str).encode
    first = encode(snapshot(("a", "import", 1), ("b", "import", 2)))
    assert encode(snapshot(("b", "import", 2), ("a", "import", 1), run="another")) == first
    others = [
        snapshot(("a", "import", 1), ("b", "import", 3)),
        snapshot(("a", "clean", 1), ("b", "import", 2)),
        snapshot(("a", "import", 1), ("b", "import", 2), defaults={"c": 1}),
        snapshot(("a", "import", 1), ("a", "clean", 2)),
        snapshot(("a", "clean", 2), ("a", "import", 1)),
    ]
    assert len({first, *map(encode, others)}) == 6


def test_a_patch_knows_what_was_seen() -> None:
    found = snapshot(("a", "clean", 1), ("a", "import", 2))
    patch = found.patch({"stage": 0}, stage="clean", a=5)
    assert (patch.stage, patch.values) == ("clean", {"stage": 0, "a": 5})
    assert patch.base["stage"] == ""
    assert patch.base["a"] == found.patch(stage="clean", a=7).base["a"] != found.patch(stage="import", a=5).base["a"]
