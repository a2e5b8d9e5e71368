from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daskflow.artifacts.store import ObjectStore
from daskflow.errors import InstallFailed
from daskflow.execution.supply import building
from daskflow.execution.supply.building import Recipe, build
from daskflow.execution.supply.sources import local_package
from daskflow.graph.distributions import USER, _owner_at, _Place
from daskflow.sites.packages import Package
from tests.execution.models import Model, written_in_a_moment


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    written_in_a_moment(monkeypatch)
    made = Model(tmp_path / "project", backend=True)
    yield made
    made.forget()


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "artifacts")


def prepare(path: Path, store: ObjectStore) -> tuple[Package, Recipe]:
    local = local_package(path)
    folder = store.folder("packages") / local.name
    package = Package(local.name, local.version, "1", str(folder), local.below, ("far", 1))
    return package, Recipe(store.put(local.archive()), local.module, local.inside, local.project)


def contents(package: Package) -> set[str]:
    return {path.name for path in Path(package.path).iterdir()}


def test_a_project_is_built_by_its_backend(model: Model, store: ObjectStore) -> None:
    model.write(1, "1.2")
    package, recipe = prepare(model.folder, store)
    assert build(package, recipe, store) == "1.2"
    assert {f"{model.name}.py", "built_by_backend.py"} < contents(package)
    # Else the worker would know it by its version, and the driver by its code.
    assert _owner_at(model.name, _Place(package.path, f"{model.name}.py")) == USER


def test_plain_python_is_copied_where_nothing_can_build_it(model: Model, store: ObjectStore) -> None:
    model.write(1)
    model.project("1.3", "no_such_backend")
    package, recipe = prepare(model.folder, store)
    assert build(package, recipe, store) == "1.3"
    assert contents(package) == {f"{model.name}.py", f"{model.name}-1.3.dist-info"}


def test_what_has_to_be_compiled_is_not_copied(model: Model, store: ObjectStore) -> None:
    model.write(1)
    model.project("1.3", "no_such_backend")
    (model.folder / "fast.pyx").write_text("")
    package, recipe = prepare(model.folder, store)
    with pytest.raises(InstallFailed, match=r"(?s)1\.3 cannot be built here.*no_such_backend"):
        build(package, recipe, store)
    assert [path.name for path in store.folder("packages").iterdir()] == [f"{model.name}.lock"], "nothing is left"


def test_a_package_without_a_project_file(tmp_path: Path, store: ObjectStore) -> None:
    (tmp_path / "fits" / "deep").mkdir(parents=True)
    (tmp_path / "fits" / "__init__.py").write_text("")
    (tmp_path / "fits" / "deep" / "table.txt").write_text("1 2 3")
    package, recipe = prepare(tmp_path / "fits", store)
    assert build(package, recipe, store) == "0"
    assert (Path(package.path) / "fits" / "deep" / "table.txt").read_text() == "1 2 3"


def test_many_build_once(model: Model, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    model.write(1)
    package, recipe = prepare(model.folder, store)
    built: list[int] = []
    original = building._build

    def counted(*arguments: object) -> None:
        built.append(threading.get_ident())
        original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(building, "_build", counted)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: build(package, recipe, store), range(4))) == ["1.0"] * 4
    assert len(built) == 1
