"""Results become records and records become results."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.forms.formats import register_format, unregister_format
from daskflow.artifacts.forms.signing import SIGNATURE
from daskflow.artifacts.holdings import mention
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import INLINE_LIMIT, Values
from daskflow.errors import ArtifactDamaged, ArtifactError, ArtifactMissing, NotSerialisable, SignatureWrong
from daskflow.model.outcome import Stored
from tests.services.s3 import S3

LARGE = INLINE_LIMIT


@pytest.fixture(params=["directory", "memory"])
def values(request: pytest.FixtureRequest, tmp_path: Path) -> Values:
    return Values(ObjectStore(tmp_path / "store" if request.param == "directory" else f"memory://{tmp_path}"))


SMALL = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary(),
    st.lists(st.integers()), st.dictionaries(st.text(), st.floats()),
)  # fmt: skip


@given(SMALL)
def test_small_values(value: Any) -> None:
    stored = Values(None).dump(value)
    assert stored.format.partition("#")[0] == "pickle"
    assert stored.inline is not None
    assert stored.digest == digest_bytes(stored.inline)
    assert stored.size == len(stored.inline)
    again = Values(None).load(stored)
    assert pickle.dumps(again) == pickle.dumps(value) or again == value
    assert type(again) is type(value)


def test_equal_but_different() -> None:
    assert len({Values(None).dump(value).digest for value in (1, True, 1.0, 1 + 0j, "1", b"1")}) == 6
    assert len({Values(None).dump(value).digest for value in (0, False, 0.0, -0.0, None)}) == 5


def larges() -> list[tuple[str, Any]]:
    return [
        ("npy", np.arange(100_000.0)),
        ("npy", np.arange(1_000_000).reshape(1000, 1000).T),
        ("parquet", pd.DataFrame({"a": np.arange(100_000), "b": np.random.default_rng(1).random(100_000)})),
        ("netcdf", xr.Dataset({"a": (("x", "y"), np.ones((500, 500)))}, attrs={"unit": None})),
        ("zarr-tree", xr.DataArray(np.ones((500, 500)), dims=("x", "y")).chunk(x=100)),
        ("pickle", "x" * LARGE),
        ("pickle", {"a": np.arange(100_000.0), "b": [1, 2]}),
        ("pickle", pd.DataFrame({"a": pd.Categorical(["x", "y"] * 50_000)})),
        ("cloudpickle", [lambda: 3, np.zeros(100_000)]),
    ]


@pytest.mark.parametrize("index", range(len(larges())))
def test_large_values(values: Values, index: int) -> None:
    name, value = larges()[index]
    stored = values.dump(value)
    assert stored.format.partition("#")[0] == name
    assert stored.inline is None
    assert stored.size > LARGE or name == "zarr-tree", "of a tree it is that of the manifest"
    assert values.store is not None
    assert values.store.size(stored.digest) == stored.size
    values.store.verify(stored.digest)
    assert_equal(values.load(stored), value)
    assert_equal(pickle.loads(pickle.dumps(values)).load(stored), value)


def test_large_values_through_a_bucket(s3: S3, prefix: str, tmp_path: Path) -> None:
    written, read = (Values(ObjectStore(s3.url(prefix), s3.options, NodeCache(tmp_path / x))) for x in ("one", "two"))
    for name, value in larges():
        stored = written.dump(value)
        assert (stored.format.partition("#")[0], stored.inline) == (name, None)
        again = read.load(stored)
        assert_equal(again, value)
        if name == "npy":
            again[:] = 7
            assert_equal(read.load(stored), value)


@pytest.mark.parametrize("index", range(len(larges()) - 1))
def test_equal_values_have_equal_digests(tmp_path: Path, index: int) -> None:
    one, two = (Values(ObjectStore(tmp_path / name)).dump(larges()[index][1]) for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize("index", range(len(larges())))
def test_without_a_store_all_is_inline(index: int) -> None:
    name, value = larges()[index]
    stored = Values(None).dump(value)
    # A tree needs a store; without one it is a zip file.
    expected = name.removesuffix("-tree")
    assert (stored.format.partition("#")[0], len(stored.inline or b"")) == (expected, stored.size)
    assert stored.digest == digest_bytes(stored.inline or b"")
    assert_equal(Values(None).load(stored), value)


def test_limit(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    size = len(pickle.dumps(b"12345", 5)) + SIGNATURE
    assert Values(store, size).dump(b"12345").inline is not None
    assert Values(store, size - 1).dump(b"12345").inline is None
    assert Values(store, 0).dump([]).inline is None


def test_arrays_may_be_changed_without_changing_the_store(values: Values) -> None:
    for count in (200_000, 1000):
        stored = values.dump(np.zeros(count))
        values.load(stored)[:] = 7
        assert (values.load(stored) == 0).all()
        stored = values.dump({"a": np.zeros(count), "b": pd.DataFrame({"c": np.zeros(count)})})
        loaded = values.load(stored)
        loaded["a"][:] = 7
        loaded["b"].loc[0, "c"] = 7
        again = values.load(stored)
        assert (again["a"] == 0).all()
        assert (again["b"]["c"] == 0).all()


def test_large_arrays_are_mapped(tmp_path: Path) -> None:
    values = Values(ObjectStore(tmp_path))
    array = values.load(values.dump(np.zeros(200_000)))
    assert "mmap" in type(bottom(array)).__name__


def test_many_results_at_once(tmp_path: Path) -> None:
    """More arrays than a process may open files."""
    values = Values(ObjectStore(tmp_path))
    stored = values.dump(np.zeros(10_000))
    assert len([values.load(stored) for _ in range(2000)]) == 2000


def test_not_serialisable(values: Values) -> None:
    with pytest.raises(NotSerialisable, match=r"_thread\.lock"):
        values.dump(threading.Lock())


def test_missing(values: Values) -> None:
    stored = values.dump(np.zeros(100_000))
    assert values.store is not None
    values.store.remove(stored.digest)
    with pytest.raises(ArtifactMissing, match=stored.digest):
        values.load(stored)
    with pytest.raises(ArtifactMissing, match=stored.digest):
        Values(None).load(stored)


@pytest.mark.parametrize("index", range(len(larges())))
def test_cut_object(tmp_path: Path, index: int) -> None:
    store = ObjectStore(tmp_path)
    stored = Values(store).dump(larges()[index][1])
    path = store.local_path(stored.digest)
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ArtifactDamaged, match="manifest" if stored.format == "zarr-tree" else stored.digest):
        Values(store).load(stored)


@pytest.mark.parametrize("name", ["npy", "parquet", "netcdf", "zarr", "pickle", "cloudpickle"])
def test_bytes_that_make_no_value(name: str) -> None:
    values, data = Values(None), b"not bytes"
    if name.endswith("pickle"):
        data += values.signer.sign(name, [data])
        name += f"#{values.signer.id}"
    with pytest.raises(ArtifactError, match=f"format {name}.*cannot be loaded"):
        values.load(Stored("0" * 32, len(data), name, data))


def test_class_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("gone_module")
    exec("class Gone: pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "gone_module", module)
    stored = Values(None).dump(module.Gone())
    monkeypatch.delitem(sys.modules, "gone_module")
    with pytest.raises(ArtifactError, match=r"ModuleNotFoundError.*gone_module.*Install"):
        Values(None).load(stored)


def test_pickles_cheaply(tmp_path: Path) -> None:
    values = Values(ObjectStore(tmp_path), 100)
    data = pickle.dumps(values, 5)
    assert len(data) < 400
    assert pickle.loads(data).inline_limit == 100


def test_nothing_heavy_is_imported() -> None:
    code = """
import sys
from daskflow.artifacts.values import Values
values = Values(None)
for value in (None, 1, "a", [1.0, {"b": (2, b"c")}]):
    values.load(values.dump(value))
heavy = {"numpy", "pandas", "pyarrow", "xarray", "h5netcdf", "zarr", "obstore", "cloudpickle", "dask"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def bottom(array: Any) -> Any:
    base = array
    while not isinstance(base, memoryview) and getattr(base, "base", None) is not None:
        base = base.base
    return base.obj if isinstance(base, memoryview) else base


def assert_equal(one: Any, two: Any) -> None:
    assert type(one) is type(two)
    if isinstance(two, np.ndarray):
        np.testing.assert_array_equal(one, two)
    elif isinstance(two, pd.DataFrame):
        pd.testing.assert_frame_equal(one, two)
    elif isinstance(two, (xr.Dataset, xr.DataArray)):
        xr.testing.assert_identical(one, two)
    elif isinstance(two, dict):
        assert one.keys() == two.keys()
        for name in two:
            assert_equal(one[name], two[name])
    elif isinstance(two, list) and callable(two[0]):
        assert one[0]() == two[0]()
        assert_equal(one[1], two[1])
    else:
        assert one == two


class Label:
    """A class of the user, known to no format of daskflow."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Label) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


class Labels:
    name = "label"

    def matches(self, value: Any) -> bool:
        return type(value) is Label

    def dump(self, value: Any) -> list[Any] | None:
        if value.text == "boom":
            raise ZeroDivisionError("by design")
        codes: Any = np.array([ord(one) for one in value.text], "u4")
        return None if value.text == "other" else [memoryview(codes)]

    def load(self, data: memoryview) -> Any:
        return Label("".join(map(chr, np.frombuffer(data, "u4"))))


class Fits:
    """Images as FITS, in a file that astronomers read."""

    name = "fits"

    def matches(self, value: Any) -> bool:
        return type(value).__name__ == "PrimaryHDU"

    def dump_file(self, value: Any, path: Path) -> bool:
        value.writeto(path)
        return True

    def load_file(self, path: Path) -> Any:
        return self.load(memoryview(path.read_bytes()))

    def load(self, data: memoryview) -> Any:
        with fits.open(io.BytesIO(data)) as opened:
            return opened[0].copy()


class Joined:
    """Unpickles, in a file of its own."""

    name = "joined"
    runs_code = True

    def matches(self, value: Any) -> bool:
        return type(value) is Label

    def dump_file(self, value: Any, path: Path) -> bool:
        path.write_bytes(pickle.dumps(value))
        return True

    def load_file(self, path: Path) -> Any:
        raise AssertionError("the signature of a file is not checked")

    def load(self, data: memoryview) -> Any:
        return pickle.loads(data)


@pytest.fixture
def forms() -> Iterator[None]:
    yield
    for name in ("label", "fits", "joined"):
        unregister_format(name)


@pytest.mark.usefixtures("forms")
@pytest.mark.parametrize("text", ["α", "x" * LARGE])
@pytest.mark.parametrize("form", [Labels(), Joined()])
def test_a_format_of_the_user(values: Values, form: Any, text: str) -> None:
    register_format(form)
    stored = values.dump(Label(text))
    assert stored.format.partition("#")[0] == f"{__name__}:{form.name}"
    assert (stored.inline is None) is (len(text) > 1)
    assert values.load(stored) == Label(text)
    assert values.readable(stored)
    unregister_format(form.name)
    assert values.readable(stored)
    with pytest.raises(ArtifactError, match=f"{form.name}.*the module {__name__} registered.*Import that first"):
        values.load(stored)


@pytest.mark.usefixtures("forms")
def test_a_file_format_of_the_user(values: Values) -> None:
    register_format(Fits())
    for side in (10, 300):
        image = fits.PrimaryHDU(np.arange(side * side, dtype="f4").reshape(side, side))
        image.header["BUNIT"] = "Jy/beam"
        again = values.load(values.dump(image))
        assert (again.data == image.data).all()
        assert again.header["BUNIT"] == "Jy/beam"


@pytest.mark.usefixtures("forms")
def test_what_a_format_of_the_user_leaves_or_cannot_do(values: Values) -> None:
    register_format(Labels())
    assert values.dump(Label("other")).format.startswith("pickle#")
    with pytest.raises(NotSerialisable, match=r"label' cannot hold a result of type .*\.Label: ZeroDivisionError: by"):
        values.dump(Label("boom"))


class Trap:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


MINE, THEIRS = bytes(32), bytes(31) + b"\1"


def resigned(stored: Stored, id: str) -> Stored:
    return stored._replace(format=f"{stored.format.partition('#')[0]}#{id}")


@pytest.mark.parametrize("limit", [0, INLINE_LIMIT])
@pytest.mark.parametrize("size", [0, 3_000_000])
def test_nothing_of_a_stranger_is_loaded(tmp_path: Path, limit: int, size: int) -> None:
    store = ObjectStore(tmp_path / "store")
    mine, theirs = (Values(store, limit, key=key) for key in (MINE, THEIRS))
    stored = theirs.dump([Trap(tmp_path / "sprung"), np.zeros(size, "u1")])
    assert (mine.readable(stored), theirs.readable(stored)) == (False, True)
    assert not mine.readable(stored._replace(format="pickle"))
    for claimed in (stored, resigned(stored, mine.signer.id), stored._replace(format="pickle")):
        with pytest.raises(SignatureWrong, match=r"not written with your signing key.*Run the flow again.*signing_key"):
            mine.load(claimed)
    assert not (tmp_path / "sprung").exists()
    theirs.load(stored)
    assert (tmp_path / "sprung").exists()


@given(st.binary(min_size=1, max_size=40), st.data())
def test_each_byte_counts(value: bytes, data: st.DataObject) -> None:
    values = Values(None, key=MINE)
    stored = values.dump([value])
    changed = bytearray(stored.inline or b"")
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    for inline in (bytes(changed), bytes(changed[:10]), b""):
        with pytest.raises(SignatureWrong):
            values.load(stored._replace(inline=inline))


def test_one_format_does_not_pass_for_another() -> None:
    values = Values(None, key=MINE)
    stored = values.dump(Label("x"))
    assert stored.format.startswith("pickle#")
    with pytest.raises(SignatureWrong):
        values.load(stored._replace(format=f"cloudpickle#{values.signer.id}"))


def test_who_shares_a_key_shares_results(tmp_path: Path) -> None:
    one, two = (Values(ObjectStore(tmp_path), key=MINE) for _ in range(2))
    assert one.dump([1]) == two.dump([1])
    assert two.load(one.dump([1])) == [1]
    assert one.dump([1]).digest != Values(None, key=THEIRS).dump([1]).digest
    assert one.dump(np.zeros(9)) == Values(None, key=THEIRS).dump(np.zeros(9)), "arrays are not signed"


class Holder:
    def __getstate__(self) -> dict[str, str]:
        mention("b" * 32)
        mention("a" * 32)
        return {}


def test_a_record_tells_what_its_value_holds(values: Values) -> None:
    assert values.dump([Holder(), {"x": Holder()}]).holds == ("a" * 32, "b" * 32)
    assert values.dump([Holder(), np.zeros(LARGE)]).holds == ("a" * 32, "b" * 32)
    assert values.dump([1]).holds == ()


class Trees:
    name = "label-tree"

    def matches(self, value: Any) -> bool:
        return type(value) is Label

    def dump_tree(self, value: Any, store: ObjectStore, cores: int = 1) -> tuple[str, int] | None:
        data = f"{value.text} by {cores}".encode()
        return store.put(data), len(data)

    def load_tree(self, store: ObjectStore, digest: str) -> Any:
        return Label(bytes(store.get(digest)).decode())


def test_trees_are_written_by_their_format(values: Values) -> None:
    register_format(Trees())
    try:
        stored = values.dump(Label("x"), cores=3)
        assert (stored.inline, stored.format) == (None, f"{__name__}:label-tree")
        assert values.load(stored) == Label("x by 3")
        assert Values(None).dump(Label("x")).format.startswith("pickle#"), "a tree needs a store"
    finally:
        unregister_format("label-tree")


def test_no_secret_travels_with_values() -> None:
    """They travel with each result, which workers may write to their disks."""
    store = ObjectStore("s3://bucket/secret-test", {"secret_access_key": "hush-hush", "region": "here"})
    values = Values(store, key=MINE[:-1] + b"\7")
    packed = pickle.dumps(values)
    assert values.signer.key not in packed
    assert b"hush-hush" not in packed
    assert pickle.loads(packed).store is store
    kit = pickle.dumps(values.kit())
    assert values.signer.key in kit
    assert pickle.loads(kit).store.options == store.options
    assert pickle.loads(packed).store.options == store.options
