from __future__ import annotations

import pickle

from daskflow.artifacts.holdings import holding, is_held, mention


class Holder:
    def __init__(self, digest: str) -> None:
        self.digest = digest

    def __getstate__(self) -> dict[str, str]:
        mention(self.digest)
        return self.__dict__


def test_what_is_pickled_tells_what_it_holds() -> None:
    assert not is_held()
    with holding() as outer:
        assert is_held()
        pickle.dumps([Holder("a"), {"b": Holder("b")}, Holder("a")])
        with holding() as inner:
            pickle.dumps(Holder("c"))
    assert (outer, inner) == ({"a", "b"}, {"c"})
    pickle.dumps(Holder("d"))
    assert outer == {"a", "b"}
