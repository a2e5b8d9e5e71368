"""Values that are no arrays, tables or datasets: pickle protocol 5, or cloudpickle where that fails."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable, Iterable
from typing import Any

from daskflow.artifacts.contents.frames import MAGIC, Buffer, pack, unpack
from daskflow.errors import NotSerialisable

PROTOCOL = 5


class Pickle:
    """Pickle protocol 5. Arrays within the value stay out of band: written and mapped, not copied."""

    name = "pickle"
    runs_code = True
    """A pickle names functions and has them called: it may do anything."""

    def matches(self, value: Any) -> bool:
        """Every value may; only trying tells."""
        return True

    def dump(self, value: Any) -> list[Buffer] | None:
        """The buffers of the value; None where pickle cannot, or where only this process could load it."""
        try:
            buffers = _pickled(pickle.dumps, value)
        except MemoryError:
            raise
        except Exception:
            # A class's own `__reduce__` may raise anything; cloudpickle is asked next and tells.
            return None
        # What refers to `__main__` loads only in the same script; cloudpickle takes it along by value.
        return None if any(b"__main__" in part for part in buffers if isinstance(part, bytes)) else buffers

    def load(self, data: memoryview) -> Any:
        """The value."""
        if data[:4] != MAGIC:
            return self._loads(data, ())
        # Arrays lie on these very bytes, and whoever loads them may change them.
        body, *buffers = unpack(memoryview(bytearray(data)) if data.readonly else data)
        return self._loads(body, buffers)

    def _loads(self, body: Buffer, buffers: Iterable[Buffer]) -> Any:
        return pickle.loads(body, buffers=buffers)


class Cloudpickle(Pickle):
    """Functions and classes of a script or notebook, taken along by value; otherwise like `Pickle`."""

    name = "cloudpickle"

    def dump(self, value: Any) -> list[Buffer]:
        """The buffers of the value.

        Raises
        ------
        NotSerialisable
            The value has no form outside this process; the message names its type and what hinders.
        """
        import cloudpickle

        try:
            return _pickled(cloudpickle.dumps, value)
        except MemoryError:
            raise
        except Exception as error:
            kind = type(value)
            raise NotSerialisable(
                f"A result of type {kind.__module__}.{kind.__qualname__} cannot be serialised "
                f"({type(error).__name__}: {error}). "
                "Return plain data, arrays, tables, datasets or picklable objects."
            ) from error

    def _loads(self, body: Buffer, buffers: Iterable[Buffer]) -> Any:
        return _Unpickler(io.BytesIO(body), buffers=buffers).load()


class _Unpickler(pickle.Unpickler):
    """Leaves classes alone that this process has: cloudpickle would give them the methods that were taken along."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        found = super().find_class(module_name, global_name)
        return _complete(found) if global_name == "_class_setstate" else found


def _complete(complete: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def complete_unless_present(cls: Any, state: Any) -> Any:
        found: Any = sys.modules.get(cls.__module__)
        for name in cls.__qualname__.split("."):
            found = getattr(found, name, None)
        return cls if found is cls else complete(cls, state)

    return complete_unless_present


def _pickled(dumps: Any, value: Any) -> list[Buffer]:
    apart: list[pickle.PickleBuffer] = []
    body: bytes = dumps(value, protocol=PROTOCOL, buffer_callback=apart.append)
    if not apart:
        return [body]
    try:
        return pack([body, *(buffer.raw() for buffer in apart)])
    except BufferError:  # a buffer with gaps: only a copy in band can hold it
        return [dumps(value, protocol=PROTOCOL)]
