from __future__ import annotations

import math
import pickle
from pathlib import Path

from daskflow.commands.order import Order, Tools
from daskflow.commands.processes import Launch
from daskflow.commands.scratch import Scratch
from daskflow.model.command import Command, InputFile


def test_an_order_travels() -> None:
    order = Order(
        (Command("grep {x} data", retries=2), Command(["ls"], env={"A": "1"}, stdin=b"\0")),
        (InputFile("data", b"\0", executable=True),),
        {"x": 1},
        files=("*.txt",),
    )
    assert pickle.loads(pickle.dumps(order)) == order


def test_tools_that_nobody_gave(tmp_path: Path, scratch: Scratch) -> None:
    tools = Tools(root=tmp_path)
    launch = Launch(["ls"], scratch.work, {}, {})
    assert tools.wrap(launch, scratch) is launch
    assert tools.stage(scratch) is None
    assert tools.time_left() == math.inf
    assert tools.take(scratch.write("file", b"x")) == b"x"
    assert tools.store(scratch.work / "file", "file") == str(scratch.work / "file")
