from __future__ import annotations

import pickle

import pytest

from daskflow.artifacts.values import Values
from daskflow.errors import WorkInvalid
from daskflow.execution.bucketing.bench import BenchThere, bench_here, laid
from daskflow.execution.worker.package import Bench


def test_a_bench_is_the_one_that_was_laid_out_for_its_node() -> None:
    packed = BenchThere("fit-1").packed()
    bench = Bench("a-run", Values(None, key=bytes(32)), "logs", "")
    with laid("fit-1", bench), laid("fit-2", bench._replace(logs="others")):
        assert pickle.loads(packed) is bench
        assert bench_here("fit-2").logs == "others"
    with pytest.raises(WorkInvalid, match="fit-1 is not performed here"):
        pickle.loads(packed)
