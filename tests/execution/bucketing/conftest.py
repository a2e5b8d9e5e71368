from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.artifacts.forms.signing import Signer
from daskflow.execution.bucketing import courier
from tests.execution.bucketing.camp import KEY, Camp


@pytest.fixture
def camp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Camp]:
    Signer.of(KEY)
    monkeypatch.setattr(courier, "_LATEST", 0.05)
    monkeypatch.setattr(courier, "FIRST_PAUSE", 0.05)
    made = Camp(tmp_path)
    yield made
    made.close()
