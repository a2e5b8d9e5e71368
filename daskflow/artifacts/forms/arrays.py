"""NumPy arrays as npy: one header, then the raw bytes, which are mapped where they lie."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from daskflow.artifacts.contents.frames import Buffer

if TYPE_CHECKING:
    import numpy as np


class Npy:
    """Arrays that npy holds bit for bit: dtype, byte order, shape, C or Fortran order.

    Arrays of objects, subclasses of `numpy.ndarray`, and dtypes with metadata, titles or alignment that npy
    forgets are left to the next format.
    """

    name = "npy"

    def matches(self, value: Any) -> bool:
        """Whether it is just an array, of a dtype that npy keeps."""
        kind = type(value)
        return kind.__module__ == "numpy" and kind.__name__ == "ndarray" and dtype_kept(value.dtype)

    def dump(self, value: Any) -> list[Buffer]:
        """Header and bytes; an array that is contiguous in one order or the other is not copied."""
        import numpy as np

        flags = value.flags
        array = value if flags.c_contiguous or flags.f_contiguous else value.copy(order="C")
        head = _header(array)
        if not array.nbytes:
            return [head]
        # Not every dtype has a buffer (datetime64 has none), but bytes have.
        return [head, memoryview(array.reshape(-1, order="A").view(np.uint8))]

    def load(self, data: memoryview) -> Any:
        """The array, on the bytes themselves where they may be changed."""
        import numpy as np

        start = _start(data)
        shape, order, dtype = _told(bytes(data[:start]))
        if start == len(data):
            return np.empty(shape, dtype, order)
        body = bytearray(data[start:]) if data.readonly else data[start:]
        return np.ndarray(shape, dtype, body, order=order)


@lru_cache(maxsize=1024)
def _told(head: bytes) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype[Any]]:
    """Shape, order and dtype. Remembered: to read them takes ten times as long as all the rest."""
    import numpy as np

    file = io.BytesIO(head)
    npy = np.lib.format
    read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(file, max_header_size=1 << 24)
    if dtype.hasobject:  # numpy would take the bytes for addresses
        raise ValueError("an npy file with objects is not read")
    return shape, "F" if fortran else "C", dtype


def _header(array: np.ndarray[Any, Any]) -> bytes:
    import numpy as np

    head = io.BytesIO()
    described = np.lib.format.header_data_from_array_1_0(array)
    try:
        np.lib.format.write_array_header_1_0(head, described)
    except ValueError:  # more than 64 kB of fields
        head = io.BytesIO()
        np.lib.format.write_array_header_2_0(head, described)
    return head.getvalue()


def _start(data: memoryview) -> int:
    """Where the elements start [bytes]; the header tells its length in 2 or 4 bytes, by version."""
    width = 2 if data[6] == 1 else 4
    return 8 + width + int.from_bytes(data[8 : 8 + width], "little")


def dtype_kept(dtype: np.dtype[Any]) -> bool:
    """Whether npy brings a dtype back as it is."""
    if dtype.kind in "biufcmMSU":
        return dtype.metadata is None
    if dtype.kind != "V" or dtype.hasobject or dtype.metadata is not None:
        return False
    return _structure_kept(dtype)


def _structure_kept(dtype: np.dtype[Any]) -> bool:
    """Whether a structured dtype is the same after it was told to npy and read again."""
    import numpy as np

    if dtype.names is not None and any(len(field) > 2 for field in (dtype.fields or {}).values()):
        return False  # titles
    parts = [field[0] for field in (dtype.fields or {}).values()] + ([dtype.base] if dtype.subdtype else [])
    if dtype.isalignedstruct or not all(dtype_kept(part.base) for part in parts):
        return False
    try:
        described = np.lib.format.dtype_to_descr(dtype)
        repr(described).encode("latin1")  # versions 1 and 2 of npy have no other letters
        again = np.lib.format.descr_to_dtype(described)
    except (ValueError, TypeError):
        return False
    return bool(again == dtype and again.itemsize == dtype.itemsize)
