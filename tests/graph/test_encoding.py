from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import io
import math
import operator
import pathlib
import re
import socket
import threading
import types
import typing
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr

from daskflow.errors import NoKey
from daskflow.graph.encoding import LONG, Encoder, digest
from daskflow.graph.task import code_text
from tests.graph.projects import FakeLauncher, Project, task

ENCODER = Encoder(code_text, FakeLauncher().file_digest)
encode = ENCODER.encode

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text()
    | st.text(min_size=LONG - 1, max_size=LONG + 3)
    | st.binary()
    | st.dates()
    | st.decimals()
    | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4)
        | st.sets(st.integers() | st.text(max_size=3), max_size=4)
    ),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Whether two values are alike, types and signs of zero included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            same(value, other[key]) and type(key) is type(next(k for k in other if k == key))
            for key, value in one.items()
        )
    return repr(one) == repr(other) or (isinstance(one, (set, int, str, bytes)) and bool(one == other))


@given(PLAIN, PLAIN)
def test_different_values_have_different_texts_and_equal_ones_equal_texts(one: Any, other: Any) -> None:
    assert (encode(one) == encode(other)) == same(one, other)


@given(PLAIN)
def test_a_text_is_one_line_and_always_the_same(value: Any) -> None:
    assert "\n" not in encode(value)
    assert encode(value) == encode(value)


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_a_dictionary_does_not_matter(value: dict[str, int]) -> None:
    assert encode(value) == encode(dict(reversed(value.items())))


def test_numbers_text_and_bytes_are_told_apart() -> None:
    values = [1, 1.0, True, "1", b"1", 1j, 1 + 0j, "True", None, "None", bytearray(b"1"), decimal.Decimal(1), (1,), [1]]
    values += [fractions.Fraction(1), {1}, {1: None}, 0.0, -0.0, math.nan, math.inf, -math.inf, [], (), {}, set(), ""]
    values += [b"", [[]], [()], ["", ""], ["','"], [None], range(1), slice(1), ..., array.array("b", b"1")]
    assert len({encode(value) for value in values}) == len(values)
    assert encode(math.nan) == encode(float("nan"))
    assert encode({1, 2}) == encode({2, 1}) != encode(frozenset({2, 1}))


def test_long_values_stand_by_their_digest() -> None:
    for value in ("x" * 10_000, b"x" * 10_000, 10**10_000, -(10**10_000), "\udc80" * 300, bytearray(5000)):
        assert len(encode(value)) < 100
    assert encode("x" * 1000) != encode("x" * 1001) != encode(b"x" * 1001)
    assert encode(10**10_000) != encode(10**10_000 + 1)
    assert digest("a") == digest(b"a")
    assert len(digest("")) == 32


def test_times() -> None:
    moment = datetime.datetime(2024, 10, 27, 2, 30)
    rome, utc = zoneinfo.ZoneInfo("Europe/Rome"), datetime.UTC

    class Zone(datetime.tzinfo):
        def utcoffset(self, _: Any) -> datetime.timedelta:
            return datetime.timedelta(0)

        def tzname(self, _: Any) -> str:
            return "zone"

        def dst(self, _: Any) -> None:
            return None

    values = [moment, moment.replace(tzinfo=rome), moment.replace(tzinfo=rome, fold=1), moment.replace(tzinfo=utc)]
    values += [moment.replace(tzinfo=Zone())]
    assert len({encode(value) for value in values}) == len(values)
    assert encode(moment.replace(tzinfo=Zone())) == encode(moment.replace(tzinfo=Zone()))
    others = [moment.date(), moment.time(), moment.time().replace(tzinfo=utc), datetime.timedelta(1), utc, rome]
    assert len({encode(value) for value in others}) == len(others)


def test_kin_of_containers() -> None:
    od, dd = collections.OrderedDict, collections.defaultdict
    values: list[Any] = [{"a": 1, "b": 2}, od(a=1, b=2), od(b=2, a=1), dd(int, a=1, b=2), dd(list, a=1, b=2)]
    values += [collections.Counter("ab"), collections.deque("ab"), collections.deque("ab", 3), list("ab")]
    values += [types.SimpleNamespace(a=1, b=2), types.SimpleNamespace(a=1)]
    assert len({encode(value) for value in values}) == len(values)
    assert encode(types.MappingProxyType({"a": 1})) == encode({"a": 1})


class Color(enum.Enum):
    RED = 1
    BLUE = 2
    CRIMSON = 1


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


def test_enums() -> None:
    assert encode(Color.RED) == encode(Color.CRIMSON) != encode(Color.BLUE)
    flags = [Access(0), Access.READ, Access.WRITE, Access.READ | Access.WRITE, Access(8)]
    assert len({encode(flag) for flag in flags}) == len(flags)
    assert encode(re.IGNORECASE) != encode(re.MULTILINE)


@dataclasses.dataclass
class Point:
    x: Any
    y: int = 0
    hidden: int = dataclasses.field(init=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: Any


class Pair(NamedTuple):
    a: Any
    b: int = 0


class Options(BaseModel):
    model_config = ConfigDict(extra="allow")
    order: int = 1
    _cache: int = PrivateAttr(default=0)


class Root(BaseModel):
    inner: Any = None


def test_records_count_by_type_and_fields() -> None:
    values = [Point(1), Point(2), Point(1, 2), Frozen(1), Pair(1), Pair(2), (1, 0), Options(), Options(order=2)]
    values += [Options.model_validate({"more": 1}), Root(), Root(inner=Options()), {"order": 1}]
    assert len({encode(value) for value in values}) == len(values)
    assert encode(Point([1, {2}])) == encode(Point([1, {2}]))
    point, options = Point(1), Options()
    point.extra = 1  # type: ignore[attr-defined]
    options._cache = 7
    assert encode(point) != encode(Point(1))
    assert encode(options) != encode(Options())


class Free:
    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)

    @functools.cached_property
    def costly(self) -> int:
        return 7

    def method(self) -> None: ...


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a: Any) -> None:
        self.a = a


class Token:
    def __init__(self, name: str, handle: Any) -> None:
        self.name, self.handle = name, handle

    def __dask_tokenize__(self) -> Any:
        return ("token", self.name)


class Strings(str):
    __slots__ = ()


class Numbers(list[int]):
    unit = "m"


class Named(dict[str, int]):
    pass


class Wrong(Exception):
    pass


class Rotation(complex):
    pass


def with_unit(values: list[int], unit: str) -> Numbers:
    made = Numbers(values)
    made.unit = unit
    return made


def test_objects_count_by_what_they_hold() -> None:
    values = [Free(), Free(a=1), Free(a=2), Free(b=1), Slotted(1), Slotted(2), Token("a", 0), Token("b", 0)]
    values += [Strings("a"), Strings("b"), "a", Numbers([1]), Numbers([2]), [1], with_unit([1], "s"), Wrong("a")]
    values += [Wrong("b"), Wrong("a", 1), Rotation(1), Rotation(2), Named(a=1), Named(a=2), {"a": 1}, ValueError("a")]
    values += [KeyError("a"), ValueError("b")]
    assert len({encode(value) for value in values}) == len(values)
    assert encode(Named(a=1, b=2)) == encode(Named(b=2, a=1))
    assert encode(Token("a", object())) == encode(Token("a", socket))


def test_looking_at_a_cached_property_changes_nothing() -> None:
    looked = Free(a=1)
    assert looked.costly == 7
    assert encode(looked) == encode(Free(a=1))


def test_the_class_of_an_object_counts(tmp_path: pathlib.Path) -> None:
    project = Project(tmp_path)
    texts = []
    for body in ("return 1", "return 2"):
        for base, tokens in (("", ""), ("(BaseModel)", ""), ("", "    def __dask_tokenize__(self): return 'a'\n")):
            text = f"from pydantic import BaseModel\nclass C{base}:\n    def m(self):\n        {body}\n{tokens}"
            texts.append(encode(project.write({"shapes.py": text}).load("shapes").C()))
    project.forget()
    assert len(set(texts)) == len(texts)


def test_code_as_a_value() -> None:
    def one(x: int) -> int:
        return x + 1

    def other(x: int) -> int:
        return x + 2

    values = [one, other, lambda x: x, lambda x: -x, len, sum, max, Free, Slotted, int, dict, math, types]
    values += [
        functools.partial(one, 1),
        functools.partial(one, x=1),
        functools.partial(other, 1),
        str.upper,
        str.lower,
    ]
    values += [functools.partial(one), Free(a=1).method, Free(a=2).method, "a".join, "b".join, [1].append]
    values += [operator.itemgetter(1), operator.itemgetter(2), operator.attrgetter("a"), Color, task(one), task(other)]
    texts = [encode(value) for value in values]
    assert len(set(texts)) == len(texts) - 2, "a task counts as its function"
    assert encode(task(one)) == encode(task(one, retries=3))


def test_types_as_values() -> None:
    variable = typing.TypeVar("variable")
    values: list[Any] = [
        list[int],
        list[str],
        list,
        int | str,
        int | None,
        typing.Any,
        typing.Literal["a"],
        typing.Literal["b"],
    ]
    values += [typing.Annotated[int, 1], typing.Annotated[int, 2], variable, typing.NewType("New", int), dict[str, int]]
    values += [typing.Callable[[int], str], typing.Callable[..., str], typing.ForwardRef("A"), typing.Optional]
    assert len({encode(value) for value in values}) == len(values)


def test_paths_count_by_name_and_content(tmp_path: pathlib.Path) -> None:
    (tmp_path / "deep").mkdir()
    one, other, third = tmp_path / "a.txt", tmp_path / "deep" / "a.txt", tmp_path / "b.txt"
    for path in (one, other, third):
        path.write_text("same")
    assert encode(one) == encode(other) != encode(third)
    before = encode(one)
    one.write_text("changed")
    assert encode(one) != before
    pure = [pathlib.PurePosixPath("/a/b"), pathlib.PurePosixPath("b"), "b"]
    assert len({encode(value) for value in pure}) == 3


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (socket.socket, "socket.socket"),
        (lambda: (x for x in "a"), "builtins.generator"),
        (threading.Lock, "_thread.lock"),
        (object, "builtins.object"),
        (lambda: Free(inner=object()), "builtins.object"),
        (lambda: Free(inner=threading.Lock()), "_thread.lock"),
        (lambda: Point(socket.socket()), "socket.socket"),
        (lambda: [{"a": (threading.Lock(),)}], "_thread.lock"),
        (lambda: Token(object(), 0), "builtins.object"),  # type: ignore[arg-type]
        (pathlib.Path(__file__).open, "_io.TextIOWrapper"),
        (lambda: zoneinfo.ZoneInfo.from_file(io.BytesIO(zone_file().read_bytes())), "ZoneInfo"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_has_no_key_is_named(make: Callable[[], Any], name: str) -> None:
    value = make()
    with pytest.raises(NoKey, match=re.escape(name)):
        encode(value)


def zone_file() -> pathlib.Path:
    found = [pathlib.Path(path) / "UTC" for path in zoneinfo.TZPATH]
    return next(path for path in found if path.exists())


def test_what_contains_itself_has_no_key() -> None:
    endless: list[Any] = []
    endless.append(endless)
    free = Free()
    free.self = free  # type: ignore[attr-defined]
    for value in (endless, [endless], {"a": endless}, free):
        with pytest.raises(NoKey, match="contains itself"):
            encode(value)


def test_deep_but_finite_structures_have_a_key() -> None:
    value: Any = 1
    for _ in range(50):
        value = [value, {"a": value}] if len(repr(value)) < 50 else [value]
    assert encode(value) == encode(value)


def test_an_attribute_by_the_name_of_our_own_protocol_is_nobodys_key() -> None:
    class Sly:
        def key_text(self) -> str:
            return "random"

    assert encode(Sly()) != "random"


def test_regular_expressions() -> None:
    values = [re.compile("a"), re.compile("a", re.IGNORECASE), re.compile("b"), re.compile(b"a")]
    assert len({encode(value) for value in values}) == len(values)


def test_texts_are_equal_in_all_processes(tmp_path: pathlib.Path) -> None:
    project = Project(tmp_path).write(
        {
            "show.py": """
                import datetime, pathlib, uuid, decimal, collections
                import numpy as np, pandas as pd, xarray as xr, dask.array as da
                from pydantic import BaseModel
                from daskflow.graph.encoding import Encoder
                from daskflow.graph.task import code_text
                class Model(BaseModel):
                    tags: set = {"a", "b", "c"}
                class Plain:
                    def __init__(self):
                        self.names = {"x", "y", "z"}
                class Tags(set):
                    pass
                values = [
                    {"a", "b", "c"}, Model(), Plain(), Tags("abc"), np.arange(3), np.array(["a", None]), len, Plain,
                    pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), pd.Timestamp("2020"), pd.Index(["a"]),
                    xr.Dataset({"v": ("x", [1.0, 2.0])}, {"x": ["a", "b"]}, {"n": {"k", "l"}}),
                    da.ones((4, 4), chunks=2) + 1, np.random.default_rng(1), np.float32(2), np.dtype("f4"),
                    datetime.datetime(2020, 1, 1), uuid.UUID(int=1), np.ma.masked_array([1, 2], [0, 1]),
                    frozenset({("p", "q")}), collections.Counter("hello"), lambda x: x in {"one", "two", "three"},
                ]
                encoder = Encoder(code_text, str)
                for value in values:
                    print(encoder.encode(value))
            """
        }
    )
    runs = [project.run("show.py", PYTHONHASHSEED=seed) for seed in ("1", "2")]
    assert runs[0].splitlines() == runs[1].splitlines()


def test_identifiers() -> None:
    assert encode(uuid.UUID(int=1)) != encode(uuid.UUID(int=2))
