"""Results at rest: from values to records with digests, and back."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

from blake3 import blake3

from daskflow.artifacts.contents.digests import DIGITS, digest_buffers, digest_file
from daskflow.artifacts.contents.frames import Buffer
from daskflow.artifacts.forms.formats import (
    BufferFormat,
    FileFormat,
    Format,
    format_named,
    formats,
    record_name,
    runs_code,
    writes_file,
    writes_tree,
)
from daskflow.artifacts.forms.kit import Kit
from daskflow.artifacts.forms.signing import SIGNATURE, Signer, refusal, signing
from daskflow.artifacts.holdings import holding
from daskflow.artifacts.store import ObjectStore, known
from daskflow.errors import ArtifactError, ArtifactMissing, DaskflowError, NotSerialisable, SignatureWrong
from daskflow.model.outcome import Stored

INLINE_LIMIT = 1 << 16
"""Up to this size [bytes] a result travels in its record."""

_BYTES = DIGITS // 2
_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})
"""Exactly these types go to pickle unasked; subclasses may be anything."""


_SIGNED_BY = "#"
"""Stands between the name of a signed format and the id of the key, as in `pickle#1a2b3c4d`."""


_came: dict[tuple[str, int, str], Values] = {}
"""Those that came from other processes, one for all results that come with them."""


class _Reader(NamedTuple):
    """What reads one format, as it is recorded."""

    form: Format
    signed: bool


class Values:
    """Writes results and reads them.

    Parameters
    ----------
    store
        Where results over the limit go. None keeps every result in its record.
    inline_limit
        Largest result that stays in its record [bytes].
    key
        Signs what runs code when it is loaded [32 bytes]; None: the key of this user.

    Notes
    -----
    Safe for threads. They pickle as the URL of the store, the limit and the name of the key: `kit` brings the rest to
    other processes. Equal arrays, tables and datasets have equal digests. Of pickles of one key the same is true in
    most cases, but not of sets of strings (their order differs between processes), nor of functions and classes taken
    along by value.

    Examples
    --------
    >>> values = Values(None, key=bytes(32))
    >>> stored = values.dump({"chisq": 1.1})
    >>> stored.format, stored.size, values.load(stored)
    ('pickle#...', 48, {'chisq': 1.1})
    """

    def __init__(
        self, store: ObjectStore | None, inline_limit: int = INLINE_LIMIT, *, key: bytes | Signer | None = None
    ) -> None:
        self.inline_limit = inline_limit
        self._given = store
        self._url = "" if store is None else store.url
        self._key = key
        self._readers: dict[str, _Reader] = {}
        self._readable: dict[str, bool] = {}

    def __reduce__(self) -> Any:
        # Neither key nor credentials: these values travel with each result, which workers may write to their disks.
        return _again, (self._url, self.inline_limit, self.signer)

    @cached_property
    def store(self) -> ObjectStore | None:
        """Where results over the limit go."""
        if self._given is not None or not self._url:
            return self._given
        return known(self._url) or ObjectStore(self._url)

    @cached_property
    def signer(self) -> Signer:
        """Signs what runs code when it is loaded. Raises SettingsInvalid where the user's key cannot be had."""
        if isinstance(self._key, Signer):
            return self._key
        return Signer.own() if self._key is None else Signer.of(self._key)

    @cached_property
    def _pickled(self) -> tuple[str, bytes]:
        """How plain values are recorded, and the key that signs them."""
        return self._signed_name("pickle"), self.signer.key_of("pickle")

    @cached_property
    def _singletons(self) -> dict[Any, Stored]:
        return {value: self._small(value) for value in (None, True, False)}

    def kit(self) -> Kit:
        """What other processes need beside these values to read and write the same: pickled, it takes effect there."""
        return Kit(self.signer, self.store)

    def readable(self, stored: Stored) -> bool:
        """Whether a value may be loaded, as far as its record tells: it is not signed by anybody else.

        Takes no time and looks at no bytes. Results that are not readable count as not remembered.
        """
        found = self._readable.get(stored.format)
        if found is None:
            found = self._readable[stored.format] = self._may_read(stored.format)
        return found

    def _may_read(self, record: str) -> bool:
        with suppress(ArtifactError):
            self._reader(record)
            return True
        # A format that is not registered here may be all the same.
        name, _, id = record.partition(_SIGNED_BY)
        return ":" in name and id in ("", self.signer.id)

    def dump(self, value: Any, *, cores: int = 1) -> Stored:
        """Serialise a value, and write it to the store unless it is small.

        Parameters
        ----------
        cores
            So many pieces of a value that is not yet computed are computed at a time.

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
                return self._singletons[value]
            small = self._small(value)
            if small.size <= self.inline_limit or self.store is None:
                return small
            self.store.put(small.inline or b"", small.digest)
            return small._replace(inline=None)
        with signing(self.signer), holding() as held:
            stored = self._first(value, cores)
        return stored._replace(holds=tuple(sorted(held))) if held else stored

    def load(self, stored: Stored) -> Any:
        """The value of a record. Arrays may be changed; this changes neither the record nor the store.

        Raises
        ------
        ArtifactMissing
            The bytes are neither in the record nor in the store.
        ArtifactDamaged
            The object in the store has another size.
        SignatureWrong
            Loading it could run code that somebody else wrote; nothing was loaded.
        ArtifactError
            The bytes do not make a value, for instance because a class they need is not to be found.
        """
        form, signed = self._readers.get(stored.format) or self._reader(stored.format)
        try:
            if signed:
                return self._load_signed(cast(BufferFormat, form), stored)
            with signing(self.signer):
                return self._load(form, stored)
        except (DaskflowError, MemoryError):
            raise
        except Exception as error:
            # Unpickling and HDF5 raise whatever they like, and so may the classes of the user.
            raise ArtifactError(
                f"The result {stored.digest} (format {stored.format}) cannot be loaded: "
                f"{type(error).__name__}: {error}. Install what it needs, or run the flow again."
            ) from error

    def _small(self, value: Any) -> Stored:
        name, key = self._pickled
        data = pickle.dumps(value, 5)
        data += blake3(data, key=key).digest(length=SIGNATURE)
        return Stored(blake3(data).hexdigest(length=_BYTES), len(data), name, data)

    def _first(self, value: Any, cores: int) -> Stored:
        """The value in the first form that holds it exactly."""
        for form in formats():
            try:
                stored = self._dumped(form, value, cores) if form.matches(value) else None
            except (DaskflowError, MemoryError, OSError):
                raise
            except Exception as error:
                if record_name(form) == form.name:  # our own: what the user's code raised while dask computed the value
                    raise
                raise NotSerialisable(
                    f"The format {record_name(form)!r} cannot hold a result of type {type(value).__module__}."
                    f"{type(value).__qualname__}: {type(error).__name__}: {error}."
                ) from error
            if stored is not None:
                return stored
        raise AssertionError("the last format takes anything or raises NotSerialisable")

    def _dumped(self, form: Format, value: Any, cores: int) -> Stored | None:
        if writes_tree(form):
            found = None if self.store is None else form.dump_tree(value, self.store, cores)
            return None if found is None else Stored(*found, record_name(form))
        if writes_file(form):
            return self._dumped_file(form, value)
        buffers = cast(BufferFormat, form).dump(value)
        return None if buffers is None else self._stored(form, buffers)

    def _dumped_file(self, form: FileFormat, value: Any) -> Stored | None:
        with self._temporary() as path:
            if not form.dump_file(value, path):
                return None
            size = path.stat().st_size
            if self.store is None or size <= self.inline_limit or runs_code(form):
                return self._stored(form, [path.read_bytes()])
            digest = digest_file(path)
            self.store.take(path, digest)
            return Stored(digest, size, record_name(form))

    def _stored(self, form: Format, buffers: Sequence[Buffer]) -> Stored:
        name = record_name(form)
        if name is not form.name:
            # The lengths of the user's buffers may count other things than bytes.
            buffers = [memoryview(buffer).cast("B") for buffer in buffers]
        if runs_code(form):
            buffers = [*buffers, self.signer.sign(form.name, buffers)]
            name = self._signed_name(name)
        size = sum(map(len, buffers))
        if self.store is None or size <= self.inline_limit:
            data = b"".join(buffers)
            return Stored(blake3(data).hexdigest(length=_BYTES), size, name, data)
        digest = digest_buffers(buffers)
        self.store.put(list(buffers), digest)
        return Stored(digest, size, name)

    def _signed_name(self, name: str) -> str:
        return f"{name}{_SIGNED_BY}{self.signer.id}"

    def _reader(self, record: str) -> _Reader:
        name, mark, id = record.partition(_SIGNED_BY)
        reader = _Reader(format_named(name), bool(mark))
        if runs_code(reader.form) != reader.signed or (mark and id != self.signer.id):
            raise SignatureWrong(refusal("A result", name, self.signer.id))
        # A form of the user may be registered anew, so only the built-in ones are remembered.
        if ":" not in name:
            self._readers[record] = reader
        return reader

    def _load_signed(self, form: BufferFormat, stored: Stored) -> Any:
        data: Buffer | None = stored.inline
        if data is None:
            data = self._store(stored).get(stored.digest, stored.size)
        return form.load(memoryview(self.signer.opened(form.name, data, stored.digest)))

    def _load(self, form: Format, stored: Stored) -> Any:
        if writes_tree(form):
            return form.load_tree(self._store(stored), stored.digest)
        if stored.inline is not None:
            return cast(BufferFormat, form).load(memoryview(stored.inline))
        if writes_file(form):
            return form.load_file(self._store(stored).local_path(stored.digest, stored.size))
        return cast(BufferFormat, form).load(self._store(stored).get(stored.digest, stored.size))

    def _store(self, stored: Stored) -> ObjectStore:
        if self.store is None:
            raise ArtifactMissing(f"The result {stored.digest} is not in its record, and there is no artifact store.")
        return self.store

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        if self.store is not None:
            with self.store.temporary() as path:
                yield path
        else:
            with tempfile.TemporaryDirectory(prefix="daskflow-") as directory:
                yield Path(directory, "value")


def _again(url: str, inline_limit: int, signer: Signer) -> Values:
    store = known(url) if url else None
    values = _came.get((url, inline_limit, signer.id))
    if values is None or values._given is not store:
        values = Values(store, inline_limit, key=signer)
        # Where the store is not known yet it is looked for when it is used: what tells how it is reached may follow.
        values._url = url
        _came[url, inline_limit, signer.id] = values
    return values
