"""What is particular to one batch system."""

from __future__ import annotations

from typing import Any

import pytest

from daskflow.settings.kinds import SYSTEM_OPTIONS
from daskflow.settings.particular import _READ, particular


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("timeout", 120, 120.0),
        ("timeout", "120", 120.0),
        ("timeout", "30 s", 30.0),
        ("disk", "2 GiB", 2 << 30),
        ("torque", False, False),
        ("torque", "false", False),
        ("torque", "Yes", True),
        ("spanning", "mpi", "mpi"),
        ("memory", 5, "5"),
        ("unknown", 5, 5),
    ],
)
def test_what_is_read(name: str, given: Any, read: Any) -> None:
    found = particular(name, given)
    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("timeout", "soon", "system.timeout: 'soon' is not an amount of time"),
        ("timeout", -5, "system.timeout: -5 is not an amount of time"),
        ("timeout", float("nan"), "system.timeout: nan is not"),
        ("timeout", float("inf"), "system.timeout: inf is not"),
        ("timeout", True, "system.timeout: True is not"),
        ("timeout", "0 s", "system.timeout: '0 s' is nothing"),
        ("disk", "2 h", "system.disk: '2 h' is not an amount of memory"),
        ("disk", 0, "system.disk: 0 is nothing"),
        ("torque", "perhaps", "system.torque: 'perhaps' is neither true nor false"),
    ],
)
def test_what_does_not_fit(name: str, given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        particular(name, given)
    assert str(caught.value).startswith(message)


def test_all_options_are_read() -> None:
    assert set(_READ) == {name for names in SYSTEM_OPTIONS.values() for name in names}
