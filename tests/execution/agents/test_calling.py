import math

import pytest

from daskflow.execution.agents.calling import perform_function
from daskflow.execution.agents.outcome import Unfit
from tests.execution.agents import performed
from tests.execution.agents.conftest import make


def test_a_function_gets_the_parameters_by_their_names() -> None:
    assert perform_function(performed.add, make(parameters={"x": 3, "y": 4}), "parameters").results == 7
    assert perform_function(performed.bound, make(parameters={"x": 2}), "parameters").results == 42
    assert perform_function(performed.later, make(parameters={"x": 2}), "parameters").results == 3


def test_what_is_only_taken_by_its_place_is_found_by_its_name() -> None:
    assert perform_function(math.sqrt, make(parameters={"x": 9}), "parameters").results == 3
    assert perform_function(performed.only_named, make(parameters={"y": 1, "x": 9}), "parameters").results == 8


@pytest.mark.parametrize("parameters", [{}, {"z": 3}, {"x": 1, "y": 2, "z": 3}])
def test_parameters_that_do_not_fit_are_told_with_the_signature(parameters: dict[str, int]) -> None:
    with pytest.raises(Unfit, match=r"add\(x: float, y: float = 1\.0\)|add\(x: 'float'"):
        perform_function(performed.add, make(parameters=parameters), "parameters")


def test_an_error_within_the_function_is_no_unfit_parameter() -> None:
    def fails() -> None:
        raise TypeError("within")

    with pytest.raises(TypeError, match="within"):
        perform_function(fails, make(), "parameters")


def test_a_function_may_get_the_work_and_give_it_back() -> None:
    outcome = perform_function(performed.with_work, make(event=[42], tags=["a"]), "work")
    assert outcome[:3] == ({"event": [42]}, [], None)
    assert outcome.changes is not None
    assert outcome.changes["tags"] == ["a", "seen"]


def test_a_function_that_gets_the_work_may_also_give_an_outcome_or_nothing() -> None:
    assert perform_function(performed.by_result, make(), "work").results == {"pipeline": "sample"}
    assert perform_function(performed.only_changing, make(), "work").results == [1, 2]
