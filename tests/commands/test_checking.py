from __future__ import annotations

from typing import Any

import pytest

from daskflow.commands.checking import check_order
from daskflow.commands.order import Order
from daskflow.errors import ArgumentsInvalid, PathRefused
from daskflow.model.command import Command, InputFile

ECHO = Command("echo")


def test_what_can_be_carried_out() -> None:
    command = Command("run {n} {{x}}", env={"A": "{n}"})
    files = (InputFile("a", "{unknown}"), InputFile("b/a", b""))
    check_order(
        Order((command, Command("top", sidecar=True)), files, {"n": None}, {"B": "{n}"}, ("*.txt", "a/**"), ("c",))
    )
    check_order(Order((Command("awk '{print}'"),)))


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"commands": ()}, "no sidecar"),
        ({"commands": (Command("top", sidecar=True),)}, "no sidecar"),
        ({"commands": (ECHO, Command("top", sidecar=True, retries=1))}, "'top' is a sidecar"),
        *[
            ({"commands": (Command("echo", image="a", mounts={target: "d"}),)}, "no place for a mount")
            for target in ("data", "/", "", "/data/../etc")
        ],
        ({"commands": (Command("echo {m}"),), "parameters": {"n": 1}}, r"\{m\}"),
        ({"env": {"A": "{m}"}, "parameters": {"n": 1}}, r"\{m\}"),
        ({"env": {"A=B": ""}}, "'A=B' is no name"),
        ({"commands": (Command("echo", env={"": ""}),)}, "'' is no name"),
        ({"inputs": (InputFile("a//b", ""), InputFile("a/b", ""))}, "2 input files 'a/b'"),
    ],
)
def test_what_makes_no_sense(order: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentsInvalid, match=message):
        check_order(Order(**{"commands": (ECHO,), **order}))


@pytest.mark.parametrize(
    "order", [{"inputs": (InputFile("../a", ""),)}, {"files": ("/etc/*",)}, {"folders": ("a/../..",)}]
)
def test_what_leads_out(order: dict[str, Any]) -> None:
    with pytest.raises(PathRefused):
        check_order(Order((ECHO,), **order))
