from __future__ import annotations

from collections.abc import Callable

import pytest

from daskflow.commands.containers.images import Image
from daskflow.commands.containers.runtimes import RUNTIMES, Runtime, choose, runtime
from daskflow.errors import ContainerError, SettingsInvalid
from tests.commands.containers.conftest import Stub


def these(*names: str) -> list[Runtime]:
    return [runtime(name) for name in names]


def test_each_runtime_is_known_by_its_name() -> None:
    assert [runtime(name).name for name in RUNTIMES] == list(RUNTIMES)
    with pytest.raises(SettingsInvalid, match="'rocket' is no container runtime; known are apptainer"):
        runtime("rocket")


def test_the_first_that_is_there_and_takes_the_image_is_chosen(stub: Callable[..., Stub]) -> None:
    stub("docker", (["info"], "", 1))
    for name in ("podman", "udocker", "apptainer"):
        stub(name, (["info"], "true", 0))
    order = these("docker", "podman", "apptainer", "udocker")
    assert choose(order, Image("reference", "code:1")).name == "podman"
    assert choose(order, Image("sif", "/code.sif")).name == "apptainer"
    assert choose(order[::-1], Image("reference", "code:1")).name == "udocker"


def test_where_there_is_none_all_that_was_tried_is_told(stub: Callable[..., Stub]) -> None:
    stub("docker", (["info"], "", 1))
    with pytest.raises(ContainerError) as caught:
        choose(these("bubblewrap", "docker"), Image("reference", "code:1"))
    message = str(caught.value)
    assert "the image code:1, a reference to a registry" in message
    assert "(bubblewrap: for other kinds of images; docker: no such program, or it does not answer)" in message
    assert "`containers` in the configuration" in message
