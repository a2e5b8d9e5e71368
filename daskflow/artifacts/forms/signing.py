"""Signatures: what runs code when it is loaded is only loaded where it was written with a key that one has."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from functools import cached_property
from hmac import compare_digest
from mmap import mmap

from blake3 import blake3

from daskflow.artifacts.contents.frames import MAGIC, Buffer, unpack
from daskflow.artifacts.forms.keys import SIZE, own_key
from daskflow.errors import SettingsInvalid, SignatureWrong

SIGNATURE = 16
"""Length of a signature [bytes]: nobody guesses 128 bits."""

_HEAD = 1 << 16
"""With this much [bytes] the lengths of 8,000 packed parts are read."""
_KEYS: dict[str, bytes] = {}
"""The keys that this process was given, by their ids."""


class Signer:
    """Signs bytes with one key, and checks signatures.

    Parameters
    ----------
    id
        Names the key and tells nothing of it.

    Notes
    -----
    Safe for threads. It pickles as the id, for what is pickled may come to lie in files that others read; the key
    itself is handed to other processes by `Kit`. Where nobody did, that of the user is taken if it has this id.

    A signature is a keyed BLAKE3 hash, and each format has a key of its own made of the user's: what was signed as
    one format does not pass for another. It stands behind the bytes, so that these keep their place in a file.

    References
    ----------
    https://github.com/BLAKE3-team/BLAKE3-specs/blob/master/blake3.pdf, section 6
    """

    def __init__(self, id: str) -> None:
        self.id = id
        self._keys: dict[str, bytes] = {}

    @classmethod
    def of(cls, key: bytes) -> Signer:
        """The one with this key [32 bytes], which this process knows from now on."""
        if len(key) != SIZE:
            raise SettingsInvalid(f"A signing key has {SIZE} bytes, not {len(key)}.")
        id = _id(key)
        _KEYS[id] = key
        return cls(id)

    @classmethod
    def own(cls) -> Signer:
        """That of this user. Raises SettingsInvalid where the key cannot be read or made."""
        return cls.of(own_key())

    def __repr__(self) -> str:
        return f"Signer({self.id!r})"

    def __reduce__(self) -> tuple[type[Signer], tuple[str]]:
        return Signer, (self.id,)

    @cached_property
    def key(self) -> bytes:
        """The key itself [32 bytes].

        Raises
        ------
        SignatureWrong
            It is not known here.
        """
        found = _KEYS.get(self.id)
        if found is None:
            found = own_key()
            if _id(found) != self.id:
                raise SignatureWrong(
                    f"The signing key {self.id} is not on this machine, where the user has another one. "
                    "Let `signing_key` in the configuration name a file that is the same everywhere."
                )
        return found

    def key_of(self, name: str) -> bytes:
        """The key for values of one format [32 bytes]."""
        found = self._keys.get(name)
        if found is None:
            found = self._keys[name] = blake3(f"format {name}".encode(), key=self.key).digest()
        return found

    def sign(self, name: str, buffers: Sequence[Buffer]) -> bytes:
        """The signature of some buffers, taken as joined, that are a value of the format of this name."""
        hasher = blake3(buffers[0], key=self.key_of(name))
        for buffer in buffers[1:]:
            hasher.update(buffer)
        return hasher.digest(length=SIGNATURE)

    def opened(self, name: str, data: Buffer, what: str = "A value") -> Buffer:
        """Bytes without the signature at their end.

        Parameters
        ----------
        what
            Stands in the message.

        Raises
        ------
        SignatureWrong
            It was not made with this key, for this format, of these bytes.
        """
        if type(data) is memoryview and isinstance(data.obj, mmap):
            _settle(data)
        body = data[:-SIGNATURE]
        found = blake3(body, key=self._keys.get(name) or self.key_of(name)).digest(length=SIGNATURE)
        if not compare_digest(found, data[-SIGNATURE:]):
            raise SignatureWrong(refusal(what, name, self.id))
        return body


def refusal(what: str, name: str, id: str) -> str:
    """What is said of a value that is not to be loaded."""
    return (
        f"{what} (format {name}) was not written with your signing key {id}, and loading it could run anybody's code: "
        "nothing of it was loaded. Run the flow again, or let `signing_key` in the configuration name the key of those "
        "who wrote it, if you trust them."
    )


CURRENT_SIGNER: ContextVar[Signer | None] = ContextVar("daskflow_signer", default=None)
"""Signs, or checks, what is being written or read."""


class signing:  # noqa: N801, used like a function; a generator would take 1 µs more, a third of a small result
    """A block in which formats use a signer.

    Parameters
    ----------
    signer
        Asked for where `CURRENT_SIGNER` is.
    """

    __slots__ = ("_signer", "_token")

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def __enter__(self) -> None:
        self._token = CURRENT_SIGNER.set(self._signer)

    def __exit__(self, *error: object) -> None:
        CURRENT_SIGNER.reset(self._token)


def _id(key: bytes) -> str:
    return blake3(b"id", key=key).hexdigest(length=4)


def _settle(data: memoryview) -> None:
    """Have the part of mapped bytes that tells what is executed in memory of our own.

    Whoever owns the file could otherwise change it between the check and the loading. Pages of a file that is mapped
    copy-on-write are our own once they were written to. Buffers behind a packed pickle are nothing but data.
    """
    _write_again(data, 0, _HEAD)
    end = len(data)
    if data[:4] == MAGIC:
        parts = unpack(data[:-SIGNATURE])
        if 8 * len(parts) < _HEAD - 8:
            end -= sum(map(len, parts[1:]))
    _write_again(data, _HEAD, end)


def _write_again(data: memoryview, start: int, stop: int) -> None:
    for place in range(start, stop, _HEAD):
        block = slice(place, min(place + _HEAD, stop))
        data[block] = bytes(data[block])
