from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.errors import ArgumentsInvalid
from daskflow.sites.batch.service import Progress, ServiceOrder, ServiceRecord, ServiceStanding, ServiceState


def test_an_order_reads_amounts_as_people_write_them() -> None:
    order = ServiceOrder.of(["lmp", "3"], {"memory": "4 GiB", "memory_limit": "5GiB", "walltime": "1.5 h"})
    assert order.command == ("lmp", "3")
    assert (order.memory, order.memory_limit, order.walltime) == (4 << 30, 5 << 30, 5400.0)


def test_a_line_stays_a_line() -> None:
    assert ServiceOrder.of("echo a; echo b", {}).command == "echo a; echo b"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"memroy": 1}, "'memory'"),
        ({"colour": 1}, "core_limit"),
        ({"memory": "much"}, "'memory'"),
        ({"cores": 0}, "'cores'"),
        ({"env": {"A": 1}}, r"'env\.A' .*: it must be a text"),
        ({"binds": ("/a",)}, "image"),
    ],
)
def test_what_does_not_fit_is_named(options: dict[str, object], told: str) -> None:
    with pytest.raises(ArgumentsInvalid, match=told):
        ServiceOrder.of("true", options)


@pytest.mark.parametrize("command", ["", []])
def test_a_service_needs_a_command(command: str | list[str]) -> None:
    with pytest.raises(ArgumentsInvalid, match="command"):
        ServiceOrder.of(command, {})


def test_orders_share_no_variables() -> None:
    first, second = ServiceOrder.of("a", {}), ServiceOrder.of("b", {})
    assert first.env is not second.env


def test_a_record_comes_back_as_it_was_written() -> None:
    order = ServiceOrder.of(["a", "ä\n"], {"env": {"K": "v"}, "core_limit": 2})
    record = ServiceRecord(
        name="x", token="t", order=order, pool="p", memory=1, walltime=float("inf"), created=1.5, index=3
    )
    assert ServiceRecord.model_validate_json(record.model_dump_json()) == record


def test_states_are_final_or_not() -> None:
    assert {state for state in ServiceState if not state.final} == {ServiceState.pending, ServiceState.running}


@given(st.lists(st.integers(min_value=0, max_value=2000), min_size=4, max_size=4))
def test_percentages_are_a_hundred_together(counts: list[int]) -> None:
    progress = Progress(*counts)
    shares = progress.percent
    assert sum(shares.values()) == (100 if progress.total else 0)
    for count, share in zip(counts, shares.values(), strict=True):
        assert abs(share - 100 * count / (progress.total or 1)) < 1


def test_completed_services_count_as_completed() -> None:
    states = [ServiceState.completed] * 3 + [ServiceState.failed, ServiceState.killed]
    progress = Progress.of([ServiceStanding(str(n), state) for n, state in enumerate(states)])
    assert progress == Progress(completed=3, failed=2)
    assert progress.done
    assert str(progress) == "completed 60 %, failed 40 %, running 0 %, pending 0 % (of 5)"


def test_what_waits_for_ever_does_not_keep_anybody_waiting() -> None:
    waiting = ServiceStanding("a", ServiceState.pending)
    assert not Progress.of([waiting]).done
    assert Progress.of([waiting._replace(hopeless=True)]) == Progress(failed=1)
