"""The table of formats: each result in the form that fits it, read fast and by other tools too."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard, TypeVar

from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.forms.arrays import Npy
from daskflow.artifacts.forms.netcdf import NetCDF
from daskflow.artifacts.forms.pickles import Cloudpickle, Pickle
from daskflow.artifacts.forms.tables import Parquet
from daskflow.artifacts.forms.zarrs import Zarr
from daskflow.artifacts.forms.zarrtrees import ZarrTree
from daskflow.errors import ArgumentsInvalid, ArtifactError

if TYPE_CHECKING:
    from daskflow.artifacts.store import ObjectStore


class BufferFormat(Protocol):
    """A form of values as bytes in memory.

    Notes
    -----
    A form whose `load` executes what stands in the bytes, as unpickling does, has `runs_code = True`: what it wrote is
    signed, and given to `load` only where the signature is right. Of a `FileFormat` that does, `load` is called and
    never `load_file`.
    """

    name: str
    """Recorded with each value, so it never changes its meaning."""

    def matches(self, value: Any) -> bool:
        """Whether the value may have this form; told from its type, without importing anything heavy."""

    def dump(self, value: Any) -> list[Buffer] | None:
        """The bytes, in buffers that may be the value's own; None where the form would not be exact."""

    def load(self, data: memoryview) -> Any:
        """The value. It may keep `data`, and change it where `data` may be changed."""


class FileFormat(Protocol):
    """A form of values that a library writes as a file."""

    name: str
    """Recorded with each value, so it never changes its meaning."""

    def matches(self, value: Any) -> bool:
        """Whether the value may have this form; told from its type, without importing anything heavy."""

    def dump_file(self, value: Any, path: Path) -> bool:
        """Write a new file; False where the form would not be exact."""

    def load_file(self, path: Path) -> Any:
        """The value; the file is never changed, and may be kept open."""

    def load(self, data: memoryview) -> Any:
        """The value, from the bytes of a file."""


class TreeFormat(Protocol):
    """A form of values that is written piece by piece, straight into the object store, as a tree."""

    name: str
    """Recorded with each value, so it never changes its meaning. It ends with `-tree`."""

    def matches(self, value: Any) -> bool:
        """Whether the value may have this form; told from its type, without importing anything heavy."""

    def dump_tree(self, value: Any, store: ObjectStore, cores: int = 1) -> tuple[str, int] | None:
        """Write a tree; digest and size [bytes] of its manifest. None where the form would not be exact.

        At most `cores` pieces are computed at a time.
        """

    def load_tree(self, store: ObjectStore, digest: str) -> Any:
        """The value; it may read its pieces from the store when they are asked for."""


Format: TypeAlias = BufferFormat | FileFormat | TreeFormat
F = TypeVar("F", bound=Format)

FORMATS: tuple[Format, ...] = (Npy(), Parquet(), NetCDF(), ZarrTree(), Zarr(), Pickle(), Cloudpickle())
"""Asked in this order; the last takes anything or says why not."""
TREE = "-tree"
"""How the names of tree formats end, and no others."""

_BUILT_IN = {form.name: form for form in FORMATS}
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,49}")
_KINDS = (("dump", "load"), ("dump_file", "load_file", "load"), ("dump_tree", "load_tree"))
_lock = threading.Lock()
_registered: tuple[Format, ...] = ()


def register_format(form: F) -> F:
    """Let results of some types have a form of your own, from now on and in the runs that begin later.

    Parameters
    ----------
    form
        A `BufferFormat`, `FileFormat` or `TreeFormat`. It takes the place of an earlier one of its name.

    Returns
    -------
    form
        The same.

    Raises
    ------
    ArgumentsInvalid
        It lacks something, or its name is taken or none.

    Notes
    -----
    Forms of users are asked before the built-in ones, the newest first. Plain numbers, texts, bytes and None always
    are pickled. Whoever loads a result has to import the module that registers its form; the workers of a run need
    not. Safe for threads.

    Examples
    --------
    >>> class Fractions:
    ...     name = "fraction"
    ...
    ...     def matches(self, value):
    ...         return type(value).__name__ == "Fraction"
    ...
    ...     def dump(self, value):
    ...         return [str(value).encode()]
    ...
    ...     def load(self, data):
    ...         from fractions import Fraction
    ...
    ...         return Fraction(bytes(data).decode())
    >>> form = register_format(Fractions())
    >>> unregister_format(form.name)
    """
    _check(form)
    global _registered
    with _lock:
        _registered = (form, *[other for other in _registered if other.name != form.name])
    return form


def unregister_format(name: str) -> None:
    """Forget a form that was registered; nothing happens where none was."""
    global _registered
    with _lock:
        _registered = tuple([form for form in _registered if form.name != name])


def registered() -> tuple[Format, ...]:
    """The forms of users, newest first."""
    return _registered


def adopt(forms: Iterable[Format]) -> None:
    """Have the forms of users that another process has, in their order; those that are here already stay."""
    for form in reversed(list(forms)):
        if not any(form is other for other in _registered):
            register_format(form)


def formats() -> tuple[Format, ...]:
    """All forms, in the order in which they are asked."""
    return (*_registered, *FORMATS) if _registered else FORMATS


def writes_file(form: Format) -> TypeGuard[FileFormat]:
    """Whether it is a `FileFormat`; `isinstance` would take 8 µs, four times a small result."""
    return hasattr(form, "dump_file")


def writes_tree(form: Format) -> TypeGuard[TreeFormat]:
    """Whether it is a `TreeFormat`."""
    return hasattr(form, "dump_tree")


def runs_code(form: Format) -> bool:
    """Whether loading executes what stands in the bytes."""
    return getattr(form, "runs_code", False)


def record_name(form: Format) -> str:
    """How a form is recorded: by its name, that of a user behind the module that it comes from."""
    return form.name if _BUILT_IN.get(form.name) is form else f"{type(form).__module__}:{form.name}"


def format_named(record: str) -> Format:
    """The format that reads what was written under this name.

    Raises
    ------
    ArtifactError
        It is not known here; the message names the module that registers it.
    """
    module, _, name = record.rpartition(":")
    if not module:
        if name in _BUILT_IN:
            return _BUILT_IN[name]
        raise ArtifactError(f"A result has the format {name!r}, which this daskflow does not know. Upgrade daskflow.")
    found = next((form for form in _registered if form.name == name), None)
    if found is None:
        where = "the script or notebook" if module == "__main__" else f"the module {module}"
        raise ArtifactError(
            f"A result has the format {name!r}, which {where} registered. Import that first: "
            "it has to call `register_format` at its top."
        )
    return found


def _check(form: Any) -> None:
    name = getattr(form, "name", None)
    if isinstance(form, type) or not isinstance(name, str):
        raise ArgumentsInvalid(f"register_format({form!r:.100}): pass an object of a class that has a `name`.")
    if not _NAME.fullmatch(name):
        raise ArgumentsInvalid(
            f"register_format: {name!r:.100} is no name of a format. Take small letters, digits and `.`, `_`, `-`."
        )
    if name in _BUILT_IN:
        raise ArgumentsInvalid(f"register_format: {name!r} is a format of daskflow. Take a name of your own.")
    whole = [kind for kind in _KINDS if all(callable(getattr(form, method, None)) for method in kind)]
    if not whole or not callable(getattr(form, "matches", None)):
        ways = "; ".join(", ".join(kind) for kind in _KINDS)
        raise ArgumentsInvalid(f"The format {name!r} needs the methods `matches` and one of these sets: {ways}.")
    if name.endswith(TREE) != hasattr(form, "dump_tree"):
        raise ArgumentsInvalid(f"The name of the format {name!r} ends with {TREE!r} exactly where it writes trees.")
    if hasattr(form, "dump_tree") and getattr(form, "runs_code", False):
        raise ArgumentsInvalid(f"The format {name!r} writes trees, which are not signed, so loading may run no code.")
