from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daskflow.model.needs import Needs
from daskflow.sites.pilots.waiting import Waiting

ONE, TWO = Needs(1), Needs(2)


def test_the_most_urgent_comes_first() -> None:
    waiting = Waiting()
    waiting.add("late", ONE, (5,))
    waiting.add("soon", ONE, (2,))
    waiting.add("now", TWO, (1,))
    assert waiting.groups() == [TWO, ONE]
    assert waiting.first(ONE) == "soon"
    assert waiting.counts() == [(TWO, 1), (ONE, 2)]
    waiting.remove("soon")
    waiting.remove("soon")
    assert waiting.first(ONE) == "late"
    waiting.remove("now")
    assert waiting.groups() == [ONE]
    assert waiting.first(TWO) is None
    assert waiting.keys(TWO) == []


def test_needs_may_change() -> None:
    waiting = Waiting()
    waiting.add("a", ONE, (1,))
    waiting.add("a", TWO, (1,))
    assert (waiting.groups(), waiting.keys(TWO)) == ([TWO], ["a"])


def test_of_equally_urgent_ones_the_first_comes_first_whatever_its_key_is() -> None:
    waiting = Waiting()
    for key in ("node", ("array", 0), "other", ("array", 0, 1)):
        waiting.add(key, ONE, (0, 1))
    found = []
    while (key := waiting.first(ONE)) is not None:
        found.append(key)
        waiting.remove(key)
    assert found == ["node", ("array", 0), "other", ("array", 0, 1)]


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans(), st.integers(0, 9))))
def test_it_is_as_a_sorted_dictionary(steps: list[tuple[str, bool, int]]) -> None:
    waiting, model = Waiting(), dict[str, tuple[int, int]]()
    for number, (key, add, priority) in enumerate(steps):
        if add:
            waiting.add(key, ONE, (priority,))
            if key not in model or model[key][0] != priority:
                model[key] = (priority, number)
        else:
            waiting.remove(key)
            model.pop(key, None)
        expected = min(((place, key) for key, place in model.items()), default=None)
        assert waiting.first(ONE) == (expected[1] if expected else None)
    assert sorted(waiting.keys(ONE)) == sorted(model)
