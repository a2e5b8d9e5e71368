"""Lists of a command job grow until the job is planned."""

import pytest

from daskflow.errors import UsageError
from daskflow.execution.commanding.growing import Growing


def test_it_is_a_list() -> None:
    items = Growing("input_files", [1])
    items.append(2)
    items += [3]
    items[0] = 0
    del items[1]
    assert items == [0, 3]
    assert list(items) == [0, 3]
    assert items == Growing("other", [0, 3])
    assert repr(items) == "[0, 3]"


def test_a_closed_one_says_why_it_takes_nothing() -> None:
    items = Growing("input_files", [1])
    items.close("the job was planned")
    changes = [
        lambda: items.append(2),
        lambda: items.extend([2]),
        lambda: items.__setitem__(0, 2),
        lambda: items.__delitem__(0),
        items.clear,
    ]
    for change in changes:
        with pytest.raises(UsageError, match="input_files of a command job cannot be changed any more: the job was"):
            change()
    assert items == [1]
