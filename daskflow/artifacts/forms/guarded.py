"""Small data beside arrays, such as their attributes: in pickles that run no code or, where that cannot be, are signed.

Files of tables and datasets are no pickles, so they are not signed: other programs read them, and other people may.
What these files cannot hold, such as the types of attributes, goes along in pickles that build nothing but plain data.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

from daskflow.artifacts.forms.arrays import Npy, dtype_kept
from daskflow.artifacts.forms.signing import CURRENT_SIGNER, Signer

_NAME = "guarded"
_PLAIN, _SIGNED = b"p", b"s"
_HARMLESS = {
    "builtins": {"bytearray", "complex", "frozenset", "range", "set", "slice"},
    "collections": {"OrderedDict"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
}
"""Types written in C, which do nothing but hold what they are given."""


def dumps(value: Any) -> bytes:
    """The bytes of a value that pickles.

    Raises
    ------
    Exception
        Whatever pickle or the classes of the value raise.
    """
    plain = _plain(value)
    if plain is not None:
        return _PLAIN + plain
    body = pickle.dumps(value, protocol=5)
    return _SIGNED + body + _signer().sign(_NAME, [body])


def loads(data: bytes) -> Any:
    """The value.

    Raises
    ------
    SignatureWrong
        Loading it would run code, and it was not written with the key of this user.
    """
    if data[:1] == _PLAIN:
        return _Unpickler(io.BytesIO(data[1:])).load()
    return pickle.loads(_signer().opened(_NAME, memoryview(data)[1:], "The attributes of a result"))


def _signer() -> Signer:
    return CURRENT_SIGNER.get() or Signer.own()


def _plain(value: Any) -> bytes | None:
    """The pickle of plain data; None where there is other data too."""
    file = io.BytesIO()
    try:
        _Pickler(file, protocol=5).dump(value)
        # What a class makes of itself when it is pickled may be plain or not; only trying tells.
        _Unpickler(io.BytesIO(file.getvalue())).load()
    except Exception:  # pickled as usual it may go, or raise the same
        return None
    return file.getvalue()


class _Pickler(pickle.Pickler):
    """Tells of NumPy's objects what they are in words, for its own way runs its functions."""

    def persistent_id(self, value: Any) -> Any:
        kind = type(value)
        if kind.__module__.partition(".")[0] != "numpy" or isinstance(value, type):
            return None
        import numpy as np

        if isinstance(value, np.dtype):
            return ("dtype", np.lib.format.dtype_to_descr(value)) if dtype_kept(value) else None
        if kind is np.str_ or kind is np.bytes_:  # as elements of arrays they would lose the NULs at their end
            return kind.__name__, bytes(value) if kind is np.bytes_ else "".join(value)
        if isinstance(value, np.generic):
            return ("scalar", _npy(np.asarray(value))) if dtype_kept(value.dtype) else None
        return ("array", _npy(value)) if Npy().matches(value) else None


class _Unpickler(pickle.Unpickler):
    """Makes plain data only, whatever the bytes ask for."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        if global_name not in _HARMLESS.get(module_name, ()):
            raise pickle.UnpicklingError(f"{module_name}.{global_name} is no plain data")
        return super().find_class(module_name, global_name)

    def persistent_load(self, pid: Any) -> Any:
        import numpy as np

        kind, told = pid
        if kind == "dtype":
            return np.lib.format.descr_to_dtype(told)
        if kind in ("str_", "bytes_"):
            return np.str_(told) if kind == "str_" else np.bytes_(told)
        array = Npy().load(memoryview(told))
        return array[()] if kind == "scalar" else array


def _npy(array: Any) -> bytes:
    return b"".join(Npy().dump(array) or ())
