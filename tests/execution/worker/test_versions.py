from __future__ import annotations

import blake3
import distributed

from daskflow.execution.worker.versions import differences, version_of


def test_the_version_of_a_package() -> None:
    assert version_of("distributed.client") == f"distributed {distributed.__version__}"
    assert version_of("blake3") == f"blake3 {blake3.__version__}"
    assert version_of(__name__).endswith("of no version")


def test_code_is_told_by_name_and_the_rest_by_version() -> None:
    own = {"a.step": "0" * 32, "a.same": "1" * 32, "a.new": "2" * 32, "numpy": "2.0", "a: STEP": "3"}
    driver = {"a.step": "3" * 32, "a.same": "1" * 32, "numpy": "2.1", "a: STEP": "4"}
    assert differences(own, driver) == [
        "a.new",
        "a.step",
        "a: STEP (3 here, 4 in the driver)",
        "numpy (2.0 here, 2.1 in the driver)",
    ]
