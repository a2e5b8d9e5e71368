"""What the doctor is told is plain."""

from __future__ import annotations

import pickle
from collections.abc import Callable

from daskflow.execution.doctor.patient import Patient


def test_it_is_a_record(patient: Callable[..., Patient]) -> None:
    told = patient(interface="ib0")
    assert (told.name, told.address, told.plan.interface) == ("cedar", "", "ib0")
    assert pickle.loads(pickle.dumps(told.plan)) == told.plan
