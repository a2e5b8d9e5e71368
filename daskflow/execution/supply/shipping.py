"""Built packages in a store whose objects are no files: each node unpacks its own copy."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.forms.signing import Signer
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactMissing, SignatureWrong

_SIGNED = "package"


class Built(NamedTuple):
    """A built package in the store: a zip file."""

    digest: str
    size: int
    """[bytes]"""


class Shipment:
    """Brings one state of a package, as it was built at one site, to the nodes of this site.

    Parameters
    ----------
    store
        Where it lies.
    signer
        Signs the note that tells which object it is: what is unpacked here is imported.
    name
        Names package, version and state of the sources; a directory is called so.
    site
        Where it is built: what was compiled at one site may not run at another.

    Notes
    -----
    Safe for processes. It pickles, and looks into the store when it is asked.
    """

    def __init__(self, store: ObjectStore, signer: Signer, name: str, site: str) -> None:
        self._given = store, signer, name, site
        self._store, self._signer, self.name, _ = self._given
        self._note = f"packages/{digest_bytes(f'{site}/{name}'.encode())}"
        self._found: Built | None = None

    def __reduce__(self) -> Any:
        return Shipment, self._given

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shipment) and (self._store.url, self._note) == (other._store.url, other._note)

    def __hash__(self) -> int:
        return hash((self._store.url, self._note))

    @property
    def ready(self) -> bool:
        """Whether it is built."""
        return self.built is not None

    @property
    def built(self) -> Built | None:
        """Which object it is; None where it is not built, or was not by anybody who has our key."""
        if self._found is None:
            self._found = self._noted()
        return self._found

    @property
    def digest(self) -> str:
        """That of the object; empty where it is not built."""
        return "" if self.built is None else self.built.digest

    def send(self, folder: Path) -> Built:
        """Take a package that was built in a directory."""
        with tempfile.TemporaryDirectory(prefix="daskflow-") as place:
            made = Path(shutil.make_archive(str(Path(place, "package")), "zip", folder))
            self._found = Built(self._store.put_file(made), made.stat().st_size)
        note = json.dumps(self._found).encode()
        self._store.write_note(self._note, note + self._signer.sign(_SIGNED, [self._about(), note]))
        return self._found

    def unpack(self) -> str:
        """Have it unpacked on this node, once; returns the directory.

        Raises
        ------
        ArtifactMissing
            It is not in the store any more.
        """
        from filelock import FileLock

        built = self.built
        if built is None:
            raise ArtifactMissing(f"The package {self.name} is not in {self._store.url} any more. Run the flow again.")
        folder = self._store.folder("packages") / f"{self.name}-{built.digest[:12]}"
        if not folder.is_dir():
            with FileLock(folder.with_name(f"{folder.name}.lock")):
                if not folder.is_dir():
                    self._unpack(built, folder)
        return str(folder)

    def _unpack(self, built: Built, folder: Path) -> None:
        part = folder.with_name(f".{secrets.token_hex(8)}")
        try:
            with self._store.written():
                part.mkdir()
                with zipfile.ZipFile(self._store.local_path(built.digest, built.size)) as archive:
                    archive.extractall(part)
                part.replace(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _noted(self) -> Built | None:
        data = self._store.read_note(self._note)
        if data is None:
            return None
        try:
            about = self._about()
            # The note itself tells nothing of where it lies: one package's must not pass for another's.
            note = self._signer.opened(_SIGNED, memoryview(about + data), "The note of a package")[len(about) :]
            found = Built(*json.loads(bytes(note)))
        except (SignatureWrong, ValueError, TypeError):  # it is built anew
            return None
        return found if self._store.exists(*found) else None

    def _about(self) -> bytes:
        return f"{self._note}\n".encode()
