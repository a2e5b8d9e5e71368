"""Results at rest: from values to records with digests, and back."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from blake3 import blake3

from daskflow.artifacts.contents.digests import DIGITS, digest_buffers, digest_file
from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.forms.formats import FORMATS, BufferFormat, FileFormat, Format, format_named, writes_file
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactError, ArtifactMissing, DaskflowError
from daskflow.model.outcome import Stored

INLINE_LIMIT = 1 << 16
"""Up to this size [bytes] a result travels in its record."""

_BYTES = DIGITS // 2
_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})
"""Exactly these types go to pickle unasked; subclasses may be anything."""


def _small(value: Any) -> Stored:
    data = pickle.dumps(value, 5)
    return Stored(blake3(data).hexdigest(length=_BYTES), len(data), "pickle", data)


_SINGLETONS = {value: _small(value) for value in (None, True, False)}


class Values:
    """Writes results and reads them.

    Parameters
    ----------
    store
        Where results over the limit go. None keeps every result in its record.
    inline_limit
        Largest result that stays in its record [bytes].

    Notes
    -----
    Safe for threads; pickles as the URL of its store. Equal arrays, tables and datasets have equal digests.
    Of pickles the same is true in most cases, but not of sets of strings (their order differs between
    processes), nor of functions and classes taken along by value.

    Examples
    --------
    >>> values = Values(None)
    >>> stored = values.dump({"chisq": 1.1})
    >>> stored.format, stored.size, values.load(stored)
    ('pickle', 32, {'chisq': 1.1})
    """

    def __init__(self, store: ObjectStore | None, inline_limit: int = INLINE_LIMIT) -> None:
        self.store = store
        self.inline_limit = inline_limit

    def dump(self, value: Any) -> Stored:
        """Serialise a value, and write it to the store unless it is small.

        Raises
        ------
        NotSerialisable
            The value has no form outside this process.
        ArtifactError
            The store is full or cannot be written.
        """
        kind = type(value)
        if kind in _ATOMS:
            if value is None or kind is bool:
                return _SINGLETONS[value]
            small = _small(value)
            return small if small.size <= self.inline_limit else self._stored("pickle", [small.inline or b""])
        for form in FORMATS:
            if form.matches(value):
                stored = self._dumped(form, value)
                if stored is not None:
                    return stored
        raise AssertionError("the last format takes anything or raises NotSerialisable")

    def load(self, stored: Stored) -> Any:
        """The value of a record. Arrays may be changed; this changes neither the record nor the store.

        Raises
        ------
        ArtifactMissing
            The bytes are neither in the record nor in the store.
        ArtifactDamaged
            The object in the store has another size.
        ArtifactError
            The bytes do not make a value, for instance because a class they need is not to be found.
        """
        form = format_named(stored.format)
        try:
            if stored.inline is not None:
                return form.load(memoryview(stored.inline))
            return self._from_store(form, stored)
        except (DaskflowError, MemoryError):
            raise
        except Exception as error:
            # Unpickling and HDF5 raise whatever they like, and so may the classes of the user.
            raise ArtifactError(
                f"The result {stored.digest} (format {stored.format}) cannot be loaded: "
                f"{type(error).__name__}: {error}. Install what it needs, or run the flow again."
            ) from error

    def _dumped(self, form: Format, value: Any) -> Stored | None:
        if writes_file(form):
            return self._dumped_file(form, value)
        buffers = cast(BufferFormat, form).dump(value)
        return None if buffers is None else self._stored(form.name, buffers)

    def _stored(self, name: str, buffers: list[Buffer]) -> Stored:
        size, digest = sum(map(len, buffers)), digest_buffers(buffers)
        if self.store is None or size <= self.inline_limit:
            return Stored(digest, size, name, b"".join(buffers))
        self.store.put(buffers, digest)
        return Stored(digest, size, name)

    def _dumped_file(self, form: FileFormat, value: Any) -> Stored | None:
        with self._temporary() as path:
            if not form.dump_file(value, path):
                return None
            size, digest = path.stat().st_size, digest_file(path)
            if self.store is None or size <= self.inline_limit:
                return Stored(digest, size, form.name, path.read_bytes())
            self.store.take(path, digest)
            return Stored(digest, size, form.name)

    def _from_store(self, form: Format, stored: Stored) -> Any:
        if self.store is None:
            raise ArtifactMissing(f"The result {stored.digest} is not in its record, and there is no artifact store.")
        if writes_file(form):
            path = self.store.local_path(stored.digest, stored.size)
            if path is not None:
                return form.load_file(path)
        return form.load(self.store.get(stored.digest, stored.size))

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        if self.store is not None:
            with self.store.temporary() as path:
                yield path
        else:
            with tempfile.TemporaryDirectory(prefix="daskflow-") as directory:
                yield Path(directory, "value")
