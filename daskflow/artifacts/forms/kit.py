"""What workers need to read and write values as the driver does: key, formats of the user, credentials."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from daskflow.artifacts.forms.formats import Format, adopt, registered
from daskflow.artifacts.forms.signing import Signer

if TYPE_CHECKING:
    from daskflow.artifacts.store import ObjectStore

LOGGER = logging.getLogger("daskflow.formats")
_sent: dict[bytes, Format] = {}
"""The formats that this process sent, or got, by their pickles: it has each of them once."""


class Kit:
    """A key, a store, and the formats that are registered now; they take effect where the kit is unpickled.

    Parameters
    ----------
    signer
        The one whose key goes along.
    store
        One that other processes are to know under its URL, with all that is needed to reach it.

    Notes
    -----
    It holds secrets, so it goes to workers only, and never into a file. A format whose class another process cannot
    import, such as that of a script, goes along by value.
    """

    def __init__(self, signer: Signer, store: ObjectStore | None = None) -> None:
        self.signer = signer
        self.store = store
        self.forms = registered()

    def __repr__(self) -> str:
        return f"<Kit of the key {self.signer.id}, {len(self.forms)} formats>"

    def __reduce__(self) -> Any:
        return _unpacked, (self.signer.key, self.store, tuple(map(_packed, self.forms)))


def _packed(form: Format) -> bytes:
    import cloudpickle

    made: bytes = cloudpickle.dumps(form, protocol=5)
    _sent[made] = form
    return made


def _unpacked(key: bytes, store: ObjectStore | None, packed: tuple[bytes, ...]) -> Kit:
    signer = Signer.of(key)
    adopt([form for form in map(_form, packed) if form is not None])
    return Kit(signer, store)


def _form(packed: bytes) -> Format | None:
    import cloudpickle

    if packed not in _sent:
        try:
            _sent[packed] = cloudpickle.loads(packed)
        except Exception as error:  # whatever the user's module raises; jobs that need no such format go on
            LOGGER.warning("A format of the driver cannot be had here: %s: %s", type(error).__name__, error)
            return None
    return _sent[packed]
