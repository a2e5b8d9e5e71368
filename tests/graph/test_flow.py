from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import pytest
import xarray as xr
from pydantic import BaseModel, Field

from daskflow.errors import ArgumentsInvalid
from daskflow.graph.flow import Flow, declare, holds_job
from daskflow.graph.host import CURRENT_HOST
from tests.graph.projects import FakeHost, FakeLauncher, task

if TYPE_CHECKING:
    from decimal import Decimal

made = task(lambda x: x, name="made")


class Options(BaseModel):
    order: int = Field(default=1, ge=1)
    kind: Literal["a", "b"] = "a"


def flow(function: Callable[..., Any], **options: Any) -> Flow[Any, Any]:
    options = {"name": None, "site": None, **options}
    found: Flow[Any, Any] = declare(function, FakeLauncher(), options["name"], options["site"])
    return found


@pytest.fixture
def host() -> Iterator[FakeHost]:
    found = FakeHost()
    token = CURRENT_HOST.set(found)
    yield found
    CURRENT_HOST.reset(token)


def study(n: int, kind: Literal["x", "y"] = "x", options: Options = Options(), *, scale: float = 1) -> Any:  # noqa: B008
    return (n, kind, options, scale)


def test_arguments_are_read_as_pydantic_does() -> None:
    found = flow(study).arguments("3", "y", {"order": "2"}, scale=2)
    assert found == {"n": 3, "kind": "y", "options": Options(order=2), "scale": 2.0}
    assert type(found["scale"]) is float


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        (("many",), {}, r"Argument 'n' of study\(\): it must be a whole number; it is 'many'"),
        ((1, "z"), {}, r"Argument 'kind' of study\(\): it must be 'x' or 'y'"),
        ((1,), {"options": {"order": 0}}, r"Argument 'options'\['order'\] of study\(\)"),
        ((1,), {"options": {"kind": "c"}}, r"Argument 'options'\['kind'\] of study\(\)"),
        ((), {}, r"study\(n: 'int'.*missing a required argument: 'n'"),
        ((1,), {"m": 2}, r"no parameter 'm'"),
    ],
)
def test_errors_name_the_argument(args: tuple[Any, ...], kwargs: dict[str, Any], message: str) -> None:
    for use in (flow(study).submit, flow(study).plan, flow(study)):
        with pytest.raises(ArgumentsInvalid, match=message):
            use(*args, **kwargs)


def test_jobs_pass_as_they_are() -> None:
    job = made(1)
    found = flow(study).arguments(job, kind=job["a"], options={"order": job})
    assert (found["n"], found["options"]) == (job, {"order": job})
    assert holds_job([{"a": (job,)}])
    assert holds_job(job.output.x)
    assert not holds_job([1, "a"])


def test_defaults_are_what_the_author_says() -> None:
    def sloppy(n: int = None, data: list[int] = ()) -> Any:  # type: ignore[assignment]  # noqa: RUF013
        return (n, data)

    assert flow(sloppy).arguments() == {"n": None, "data": ()}
    with pytest.raises(ArgumentsInvalid, match="'data'"):
        flow(sloppy).arguments(data=["x"])


def test_types_of_other_libraries_are_looked_at_by_instance() -> None:
    def over(data: xr.Dataset, several: dict[str, xr.DataArray]) -> Any:
        return data

    data = xr.Dataset({"v": ("x", [1, 2])})
    found = flow(over).arguments(data, {"v": data["v"]})
    assert found["data"] is data
    with pytest.raises(ArgumentsInvalid, match=r"Argument 'data' of over\(\).*instance of Dataset"):
        flow(over).arguments(3, {})


def test_names_that_exist_for_type_checkers_only_switch_off_their_own_argument() -> None:
    def late(a: Decimal, b: int) -> Any:
        return (a, b)

    assert flow(late).arguments("x", "2") == {"a": "x", "b": 2}


def test_types_of_the_enclosing_function() -> None:
    class Local(BaseModel):
        n: int

    def inner(x: Local) -> Local:
        return Local(n=x.n)

    assert flow(inner).arguments({"n": "1"})["x"] == Local(n=1)


def test_variable_arguments_are_checked_each() -> None:
    def many(*numbers: int, **names: float) -> Any:
        return (numbers, names)

    found = flow(many)
    assert found.arguments("1", 2, a="3") == {"numbers": (1, 2), "names": {"a": 3.0}}
    with pytest.raises(ArgumentsInvalid, match=r"Argument 'numbers'\[1\] of many"):
        found.arguments(1, "x")
    with pytest.raises(ArgumentsInvalid, match=r"Argument 'names'\['a'\] of many"):
        found.arguments(a="x")
    assert found.body(found.arguments(1, 2, a=3)) == ((1, 2), {"a": 3.0})


def test_unannotated_arguments_are_anything() -> None:
    marker = object()
    assert flow(lambda x: x).arguments(marker) == {"x": marker}


def test_outside_of_flows_a_flow_runs() -> None:
    launcher = FakeLauncher()
    found = declare(study, launcher, "named", "cedar")
    assert found(1) == (1, "x", Options(), 1)
    assert found.submit(2) is launcher
    assert found.visualize(3) == "a picture"
    assert [(arguments["n"], beside) for _, arguments, beside in launcher.started] == [
        (1, False),
        (2, True),
        (3, False),
    ]
    assert (found.name, found.site, found.__name__, repr(found)) == ("named", "cedar", "study", "<Flow named>")


def test_inside_a_flow_a_flow_is_its_body(host: FakeHost) -> None:
    def inner(n: int) -> Any:
        return [made(n), made(n + 1)]

    def outer(n: int) -> Any:
        return flow(inner)(str(n))

    jobs = flow(outer).body({"n": 1})
    assert [job.key for job in jobs] == list(host.jobs)
    with pytest.raises(ArgumentsInvalid, match="'n' of inner"):
        flow(inner)("x")


def test_only_functions_are_flows() -> None:
    with pytest.raises(ArgumentsInvalid, match="@flow declares a function, not 3"):
        declare(typing.cast("Any", 3), FakeLauncher(), None, None)
    assert declare(None, FakeLauncher(), "n", None)(study).name == "n"
