"""Fixed values are shared, and keep their text."""

import copy
import pickle

from daskflow.execution.commanding.fixed import Fixed
from daskflow.graph.encoding import Encoder
from daskflow.graph.structure import transform


def test_it_is_one_object_for_all_jobs_and_stands_in_keys_by_its_text() -> None:
    fixed = Fixed({"a": 1}, "the text")
    assert copy.deepcopy(fixed) is fixed
    assert transform([fixed], lambda leaf: leaf)[0] is fixed, "nothing looks for jobs in it"
    encoder = Encoder(lambda code: "", lambda path: "")
    assert encoder.encode(fixed) == "the text" == repr(fixed)


def test_the_value_travels() -> None:
    assert pickle.loads(pickle.dumps(Fixed({"a": 1}, "the text"))).value == {"a": 1}
