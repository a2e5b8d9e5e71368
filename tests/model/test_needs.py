from __future__ import annotations

from daskflow.model.needs import PLAIN_NEEDS, Needs


def test_plain_needs_are_one_core_and_nothing_known() -> None:
    assert Needs() == PLAIN_NEEDS
    assert (PLAIN_NEEDS.cores, PLAIN_NEEDS.memory, PLAIN_NEEDS.seconds, PLAIN_NEEDS.nodes) == (1, None, None, 1)
    assert hash(Needs(2)) != hash(Needs(3))
