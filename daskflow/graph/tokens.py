"""Texts for values of other libraries: by dask's deterministic token, with the user's code that hides in them."""

from __future__ import annotations

import contextlib
import io
import pickle
import re
import types
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from blake3 import blake3

from daskflow.errors import NoKey
from daskflow.graph.distributions import owner_of, owner_of_class

_HANDLES = frozenset({"h5netcdf", "h5py", "netCDF4", "zarr"})
"""Libraries whose objects stand for data in files, which may change while the object does not."""

_RANDOM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def digest(data: Any) -> str:
    """BLAKE3 of bytes or text, 32 hexadecimal digits.

    References
    ----------
    https://github.com/BLAKE3-team/BLAKE3-specs
    """
    # File names with bytes that are no text have lone surrogates.
    return blake3(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data).hexdigest(length=16)


def type_name(cls: type) -> str:
    """How a type of another library stands in a text."""
    return f"{cls.__module__}.{cls.__qualname__}"


def token(value: Any, code: Callable[[Any], str]) -> str:
    """The text of a value of another library.

    Parameters
    ----------
    code
        Gives the text of a function or class of the user.

    Raises
    ------
    NoKey
        dask has no deterministic token for it.

    References
    ----------
    https://docs.dask.org/en/stable/custom-collections.html#deterministic-hashing
    """
    name = type_name(type(value))
    if type(value).__module__.partition(".")[0] in _HANDLES or _is_open_file(value):
        raise NoKey(f"A {name} stands for data that may change while it does not. Pass the path of the file instead.")
    data, inside = _pickled(value)
    if inside:
        return f"{name}({digest(data)},{','.join([code(item) for item in inside])})"
    return f"{name}({_dask_token(value)})"


def beside(value: Any) -> dict[str, Any]:
    """What dask's token of a pandas object leaves out: the attributes of a table, the frequency of its index."""
    if type(value).__module__.partition(".")[0] != "pandas":
        return {}
    frequency = getattr(getattr(value, "index", value), "freqstr", None)
    found = {"attrs": getattr(value, "attrs", None), "frequency": frequency}
    return {name: item for name, item in found.items() if item}


def collection(value: Any, graph: Mapping[Any, Any], code: Callable[[Any], str]) -> str:
    """The text of a dask collection: its token, and the user's code that its graph calls.

    Raises
    ------
    NoKey
        It has a task with a random name.
    """
    name = type_name(type(value))
    layers = getattr(graph, "layers", None) or {name: graph}
    found: dict[int, Any] = {}
    for layer in layers.values():
        random, inside = _layer(layer)
        if random:
            raise NoKey(
                f"A {name} holds a task with a random name, so it has no key. "
                "Make delayed objects by `dask.delayed(f, pure=True)(...)`, arrays with `name=None`."
            )
        found.update((id(item), item) for item in inside)
    codes = sorted({code(item) for item in found.values()})
    return f"{name}({_dask_token(value)}{''.join([f',{text}' for text in codes])})"


_LAYERS: dict[int, tuple[Any, tuple[bool, tuple[Any, ...]]]] = {}


def _layer(layer: Any) -> tuple[bool, tuple[Any, ...]]:
    """Whether a layer of a graph has random names, and the user's code in it; looked at once for each layer."""
    known = _LAYERS.get(id(layer))
    if known is not None and known[0]() is layer:
        return known[1]
    found = any(_RANDOM.search(str(key)) for key in layer), tuple(_pickled(layer)[1])
    with contextlib.suppress(TypeError):  # a plain dict has no weak references
        place = id(layer)
        _LAYERS[place] = (weakref.ref(layer, lambda _: _LAYERS.pop(place, None)), found)
    return found


def _dask_token(value: Any) -> str:
    from dask.tokenize import TokenizationError, tokenize

    try:
        return str(tokenize(value, ensure_deterministic=True))
    except (TokenizationError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise NoKey(
            f"A value of type {type_name(type(value))} has no deterministic key ({error}). "
            "Pass plain data instead, or give the class a `__dask_tokenize__` method."
        ) from None


def _is_open_file(value: Any) -> bool:
    return isinstance(value, io.IOBase) and not isinstance(value, (io.BytesIO, io.StringIO))


class _Finder(pickle.Pickler):
    """Pickles with the user's functions and classes left out, and lists them."""

    def __init__(self, into: io.BytesIO) -> None:
        super().__init__(into, protocol=5)
        self.inside: dict[int, Any] = {}
        # Without the memo, which depends on which equal objects are the same one.
        self.fast = True

    def persistent_id(self, value: Any) -> str | None:
        if isinstance(value, types.ModuleType):
            return value.__name__
        if isinstance(value, (types.FunctionType, type)) and _is_users(value):
            self.inside.setdefault(id(value), value)
            return str(list(self.inside).index(id(value)))
        return None


def _is_users(value: Any) -> bool:
    of_function = isinstance(value, types.FunctionType)
    owner = owner_of(value.__globals__.get("__name__")) if of_function else owner_of_class(value)
    return owner.kind == "user"


def _pickled(value: Any) -> tuple[bytes, Iterable[Any]]:
    """The pickle of a value, and the user's code in it; that found until then, where it cannot be pickled."""
    into = io.BytesIO()
    finder = _Finder(into)
    try:
        finder.dump(value)
    except Exception:  # any error of any class's own way to be pickled
        return repr(list(finder.inside)).encode(), ()
    return into.getvalue(), finder.inside.values()
