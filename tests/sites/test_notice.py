"""The notice to quit reaches forks, whenever they were made."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from daskflow.sites import notice


@pytest.fixture(autouse=True)
def withdrawn() -> Iterator[None]:
    yield
    notice.withdraw()


def test_nobody_has_to_quit_at_first() -> None:
    assert not notice.given()
    notice.give()
    assert notice.given()
    notice.withdraw()
    assert not notice.given()


def test_a_fork_hears_what_is_told_later() -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(reader, 1)
        os._exit(7 if notice.given() else 0)
    notice.give()
    os.write(writer, b"!")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    os.close(reader)
    os.close(writer)
