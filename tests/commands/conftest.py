"""What the tests of command jobs share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.commands.order import Done, Order, Tools
from daskflow.commands.perform import perform
from daskflow.commands.scratch import Scratch
from daskflow.model.command import Command


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    with Scratch(tmp_path / "scratch", "test") as made:
        yield made


@pytest.fixture
def done(tmp_path: Path) -> Callable[..., Done]:
    """Performs commands: `done("echo", files=("*",), stage=...)`."""

    def performed(*commands: Any, **options: Any) -> Done:
        made = tuple(command if isinstance(command, Command) else Command(command) for command in commands)
        order = {name: options.pop(name) for name in list(options) if name in Order._fields}
        tools: dict[str, Any] = {"root": tmp_path / "scratch", "store": lambda path, _: path.read_bytes(), **options}
        return perform(Order(made, **order), Tools(**tools))

    return performed
