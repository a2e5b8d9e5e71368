import math
import sys
from pathlib import Path

import pytest

from daskflow.errors import FunctionRefused
from daskflow.execution.agents.functions import check_name, check_owner, find
from daskflow.execution.agents.terms import Allowed
from tests.execution.agents import performed
from tests.execution.agents.conftest import ALL, HOME


def test_functions_are_found_by_their_names() -> None:
    assert find("math.hypot") is math.hypot
    assert find(f"{HOME}.add") is performed.add
    assert find(f"{HOME}:add") is performed.add
    assert find(f"{HOME}.Fitter.fit") is performed.Fitter.fit
    assert find(f"{HOME}.clicked") is performed.clicked


def test_a_task_is_called_as_the_function_that_it_is_made_of(there: Path) -> None:
    (there / "tasked.py").write_text("from daskflow import task\n@task\ndef double(x):\n    return 2 * x\n")
    try:
        assert find("tasked.double")(4) == 8
    finally:
        sys.modules.pop("tasked", None)
        sys.path.remove(str(there))


@pytest.mark.parametrize("name", ["nowhere.at.all", "math.nothing", "", ".x", "math", "math.pi", f"{HOME}.os.system"])
def test_what_is_not_there_is_told(name: str) -> None:
    with pytest.raises(ImportError):
        find(name)


def test_an_import_that_fails_in_the_module_itself_is_told_as_it_is(there: Path) -> None:
    (there / "broken_inside.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(ModuleNotFoundError, match="nothing_of_that_name"):
        find("broken_inside.fit")
    sys.path.remove(str(there))


def test_only_allowed_names_are_imported() -> None:
    check_name(f"{HOME}:add", ALL)
    with pytest.raises(FunctionRefused, match="works: functions:"):
        check_name("os.system", ALL)


def test_what_a_package_has_imported_from_elsewhere_is_not_in_it() -> None:
    name = f"{HOME}.borrowed"
    check_name(name, ALL)
    with pytest.raises(FunctionRefused, match="posix"):
        check_owner(name, find(name), ALL)
    check_owner(name, find(name), Allowed((name,)))


@pytest.mark.parametrize("name", ["add", "Fitter.fit", "clicked", "bound", "leaving"])
def test_what_a_package_has_made_is_in_it(name: str) -> None:
    check_owner(f"{HOME}.{name}", find(f"{HOME}.{name}"), ALL)
