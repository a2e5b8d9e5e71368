from __future__ import annotations

import pathlib
import pickle
import sys
from typing import Any

import cloudpickle
import numpy as np
import pytest
import xarray as xr
from pydantic import BaseModel

from daskflow.errors import ArgumentsInvalid, FileMissing, NoKey, NotInTask, UsageError
from daskflow.graph.host import CURRENT_HOST, CURRENT_SITE
from daskflow.graph.job import Job
from daskflow.graph.structure import Nest, Slot
from daskflow.graph.task import Task, declare, findable, importable
from tests.graph.projects import FakeHost, Project, task


def add(x: Any, y: Any = 1, *more: Any, scale: int = 2, **options: Any) -> Any:
    """Add."""
    return (x, y, more, scale, options)


def plain(x: Any, y: Any = 1) -> Any:
    return (x, y)


adder = task(add)


class Model(BaseModel):
    value: Any = None


def test_a_task_looks_like_its_function() -> None:
    assert (adder.__name__, adder.__doc__, repr(adder)) == ("add", "Add.", "<Task add>")  # type: ignore[attr-defined]
    assert adder.function is add


def test_equal_calls_have_equal_keys() -> None:
    made = task(plain)
    same = [made(1), made(1, 1), made(x=1), made(y=1, x=1), made.options(retries=3, timeout="1 h")(1)]
    assert len({job.key for job in same}) == 1
    other = [made(2), made(1, 2), made(1.0), made(True), made("1"), made([1]), made(x=1, y=[1])]
    assert len({job.key for job in [*same, *other]}) == len(other) + 1
    assert made(1).key.startswith("plain-")


def test_all_kinds_of_parameters() -> None:
    def kinds(a: Any, /, b: Any = 2, *rest: Any, c: Any = 3, **more: Any) -> Any:
        return (a, b, rest, c, more)

    made = task(kinds)
    assert made(1).key == made(1, 2).key == made(1, b=2, c=3).key
    assert (
        len({job.key for job in (made(1), made(1, 2, 3), made(1, c=4), made(1, d=3), made(1, d=4), made(1, a=1))}) == 6
    )
    job = made(1, 2, made(0), d=[made(0)])
    assert job.upstream == (made(0, 2).key and job.upstream[0],)
    assert job.task.call([1, 2, (7,), 3, {"d": 8}]) == (1, 2, (7,), 3, {"d": 8})


def test_wrong_arguments_show_the_signature() -> None:
    with pytest.raises(ArgumentsInvalid, match=r"plain\(x: 'Any', y: 'Any' = 1\) -> 'Any': missing .* 'x'"):
        task(plain)()


@pytest.mark.parametrize("name", ["when", "site"])
def test_reserved_names(name: str) -> None:
    space: dict[str, Any] = {}
    exec(f"def f(x, {name}): pass", space)
    with pytest.raises(ArgumentsInvalid, match=f"has a parameter '{name}'"):
        task(space["f"])


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        ({"retries": -1}, r"retries=-1: it must be at least 0"),
        ({"retry": 1}, r"retry=1: no policy; do you mean 'retry_on' or 'retries'\?"),
        ({"cache": "always"}, r"cache='always': .*True, False or 'run'"),
        ({"timeout": "3 parsecs"}, r"timeout='3 parsecs': '3 parsecs' is not an amount of time"),
        ({"timeout": 0}, r"timeout=0: it must be more than 0"),
        ({"backoff": "soon"}, r"backoff='soon': 'soon' is not an amount of time"),
        ({"retry_on": "ValueError"}, r"retry_on='ValueError'"),
        ({"retry_on": int}, r"retry_on=<class 'int'>: .*BaseException"),
        ({"resources": {"memory": "much"}}, r"resources\.memory='much': .*amount of memory"),
        ({"resources": {"cpu": 2}}, r"resources\.cpu=2: no policy; there are cores, gpus"),
        ({"name": "a b"}, r"name='a b'"),
    ],
)
def test_policies_are_checked(policies: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentsInvalid, match=rf"@task of plain\(\): {message}"):
        task(plain, **policies)
    with pytest.raises(ArgumentsInvalid, match=rf"plain\.options\(\): {message}"):
        task(plain).options(**policies)


def test_options_leave_the_task_as_it_was() -> None:
    made = task(plain)
    assert made.options(retries=2, retry_on=OSError).policy.retries == 2
    assert made.policy.retries == 0
    assert made.options(version="2")(1).key != made(1).key
    assert made.options(name="other")(1).key.startswith("other-")


def test_a_version_stands_for_the_code() -> None:
    space: dict[str, Any] = {}
    keys = []
    for body in ("return 1", "return 2"):
        exec(f"def f():\n    {body}", space)
        keys.append(task(space["f"], version="1")().key)
    assert keys[0] == keys[1]


def test_declaring() -> None:
    assert declare(None, None, {"retries": 2})(plain).policy.retries == 2
    for wrong in (3, task(plain)):
        with pytest.raises(ArgumentsInvalid, match="@task declares a function"):
            declare(wrong, None, {})  # type: ignore[arg-type]
    assert task(lambda: 1).policy.name == "lambda_"


def test_many_calls_at_once() -> None:
    made = task(plain)
    assert [job.key for job in made.map([1, 2], y=5)] == [made(1, 5).key, made(2, 5).key]
    assert [job.key for job in made.map([1, 2], (3, 4))] == [made(1, 3).key, made(2, 4).key]
    assert [job.key for job in made.zip(x=[1, 2], y=iter([3, 4]))] == [made(1, 3).key, made(2, 4).key]
    expected = [made(x, y).key for x in (1, 2) for y in (3, 4)]
    assert [job.key for job in made.product(x=[1, 2], y=[3, 4])] == expected
    assert made.map() == made.zip() == []
    with pytest.raises(ArgumentsInvalid, match=r"plain\.zip\(\): unequal lengths \(x: 1, y: 2\)"):
        made.zip(x=[1], y=[1, 2])


def test_iterables_of_unequal_length_make_no_job() -> None:
    host = FakeHost()
    token = CURRENT_HOST.set(host)
    try:
        with pytest.raises(ArgumentsInvalid, match=r"plain\.map\(\): the iterables are of unequal length"):
            task(plain).map([1, 2], [1])
    finally:
        CURRENT_HOST.reset(token)
    assert host.jobs == {}


def test_errors_of_the_iterables_are_theirs() -> None:
    def failing() -> Any:
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        task(plain).map(failing())


def test_sites() -> None:
    made = task(plain)
    assert (made(1).site, made(1, site="a").site, made.options(site="b")(1).site) == (None, "a", "b")
    assert made(1, site="a").key == made(1).key
    token = CURRENT_SITE.set("c")
    assert (made(1).site, made.options(site="b")(1).site) == ("c", "b")
    CURRENT_SITE.reset(token)


def test_cache_policies() -> None:
    made = {cache: task(plain, cache=cache) for cache in (True, "run", False)}
    assert made["run"](1).key != made["run"](1).key, "without a run each call is one of its own"
    keys: dict[Any, list[str]] = {}
    for host in (FakeHost("a"), FakeHost("a"), FakeHost("b")):
        token = CURRENT_HOST.set(host)
        for cache, one in made.items():
            keys.setdefault(cache, []).extend([one(1).key, one(1).key])
        CURRENT_HOST.reset(token)
    assert len(set(keys[True])) == 1
    a, a2, again, again2, b, b2 = keys["run"]
    assert a == a2 == again == again2 != b == b2
    a, a2, again, again2, b, b2 = keys[False]
    assert a == again != a2 == again2, "a resumed run finds its own calls"
    assert len({a, a2, b, b2}) == 4


def test_what_is_not_remembered_for_all_runs_has_a_form_of_its_own() -> None:
    def text(_: Any) -> str:
        return "slot"

    forms = []
    for cache in (True, "run", False):
        for id in ("a", "b"):
            token = CURRENT_HOST.set(FakeHost(id))
            forms.append(task(plain, cache=cache)(task(add)(1)).form(text))
            CURRENT_HOST.reset(token)
    assert forms[0] == forms[1]
    assert len(set(forms)) == 5


def test_the_form_leaves_out_upstream_jobs_and_nothing_else(tmp_path: pathlib.Path) -> None:
    made, file = task(plain), tmp_path / "data.txt"

    def form(job: Job) -> str:
        return job.form(str)

    file.write_text("one")
    up, other = task(add)(1), task(add)(2)
    assert form(made(up)) == form(made(other)) != form(made(up, 2))
    assert form(made([up, file])) == form(made([other, file]))
    assert form(made([up, 1])) != form(made([up, 2])) != form(made([2, up]))
    assert form(made(up["a"])) != form(made(up["b"]))
    before = form(made(up, file)), form(made([up, file]))
    file.write_text("two")
    after = form(made(up, file)), form(made([up, file]))
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert form(task(plain, version="1")(up)) != form(task(add, version="1")(up))


def test_arguments_are_what_they_were_at_the_call() -> None:
    made = task(plain)
    items, array, table = [1], np.zeros(2), {"a": [1]}
    data = xr.Dataset({"v": ("x", [1.0, 2.0])})
    values: list[Any] = [items, array, table, data, Model(value=items), (array,), {"k": data}]
    jobs = [made(value) for value in values]
    keys = [job.key for job in jobs]
    items.append(2)
    array[0] = 7
    table["a"].append(2)
    data["v"][0] = 7
    assert jobs[0].arguments[0] == [1]
    assert jobs[1].arguments[0].tolist() == [0, 0]
    assert jobs[2].arguments[0] == {"a": [1]}
    assert jobs[3].arguments[0]["v"].values.tolist() == [1, 2]
    assert jobs[4].arguments[0].value == [1]
    assert jobs[5].arguments[0][0].tolist() == [0, 0]
    assert jobs[6].arguments[0]["k"]["v"].values.tolist() == [1, 2]
    assert [job.key for job in jobs] == keys
    assert not {made(value).key for value in values} & set(keys)


def test_jobs_in_arguments() -> None:
    made = task(plain)
    up = made(0)
    job = made([up, {"a": up["k"]}, Model(value=up)], up)
    assert job.upstream == (up,)
    assert isinstance(job.arguments[0], Nest)
    assert job.arguments[1] == Slot(0)
    assert made(up).key != made(made(1)).key != made(0).key
    assert made([up]).key != made(up).key != made(up[0]).key != made(up[1]).key != made(up.output.a).key


def test_recipes_can_be_read() -> None:
    job = task(plain)([1, "two"], task(add)(1))
    assert job.recipe == f"x=[1,'two',]\ny=job({job.upstream[0].key})"  # type: ignore[union-attr]
    assert task(plain)(list(range(1000))).recipe.startswith("x=digest(")


def test_arguments_without_a_key_are_named() -> None:
    with pytest.raises(NoKey, match=r"Argument 'y' of plain\(\): A value of type builtins\.object .*__dask_tokenize__"):
        task(plain)(1, y=[object()])
    with pytest.raises(FileMissing, match=r"Argument 'x' of plain\(\): .*nowhere is not there"):
        task(plain)(pathlib.Path("nowhere"))
    with pytest.raises(UsageError, match="holds a job"):
        task(plain)(np.array([task(plain)(1), None], object))


def test_inside_a_task_there_is_no_run() -> None:
    made = pickle.loads(cloudpickle.dumps(task(lambda x: x)))
    with pytest.raises(NotInTask, match="Call the plain function there"):
        made(1).result()
    # What it returns is made anew in the driver, where the content of files is known.
    assert made(pathlib.Path("nowhere")).key == made(pathlib.Path("nowhere")).key


def test_a_run_gives_back_the_job_that_it_has() -> None:
    token = CURRENT_HOST.set(FakeHost())
    made = task(plain)
    assert made(1) is made(1)
    assert made(1) is not made(2)
    CURRENT_HOST.reset(token)


def test_tasks_of_modules_are_pickled_by_name(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from daskflow.graph.task import declare\n@lambda f: declare(f, None, {})\ndef f(x):\n    return x\n"
    project = Project(tmp_path / "mine").write({"flows.py": source})
    loaded = project.load()
    assert importable(loaded.f)
    assert pickle.loads(pickle.dumps(loaded.f)) is loaded.f
    assert len(pickle.dumps(loaded.f)) < 100
    changed = loaded.f.options(retries=2)
    assert pickle.loads(cloudpickle.dumps(changed)).policy.retries == 2
    sys.path.remove(str(project.directory))
    assert not importable(loaded.f), "other processes do not look there"
    monkeypatch.syspath_prepend(str(Project(tmp_path / "other").write({"flows.py": source}).directory))
    assert not importable(loaded.f), "other processes find another module of that name"
    project.forget()


def test_tasks_of_scripts_are_pickled_by_value(tmp_path: pathlib.Path) -> None:
    project = Project(tmp_path).write(
        {
            "script.py": """
                import cloudpickle, subprocess, sys
                from daskflow.graph.task import declare
                K = 5
                def helper(x):
                    return x + K
                @lambda f: declare(f, None, {"retries": 2})
                def f(x):
                    return helper(x)
                open("task.pickle", "wb").write(cloudpickle.dumps(f))
            """,
            "other.py": """
                import pickle
                f = pickle.load(open("task.pickle", "rb"))
                print(f.call([1]), f.policy.retries)
            """,
        }
    )
    project.run("-W", "ignore", "script.py")
    assert project.run("-W", "ignore", "other.py") == "6 2"


def test_findable() -> None:
    assert findable("json")
    assert not findable("__main__")
    assert not findable("not_there.at_all")


def test_code_is_looked_at_anew_on_demand() -> None:
    made: Task[Any, Any] = task(plain)
    first = made.fingerprint()
    assert made.fingerprint() is first
    made.refresh()
    assert made.fingerprint() is not first
    assert made.fingerprint().id == first.id
