"""What jobs left, in the forms in which it is wanted."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

from daskflow import Artifact
from daskflow.compat.prominence.errors import JobGetError
from daskflow.errors import DaskflowError


def as_wanted(data: bytes, text: bool | None) -> str | bytes:
    r"""The content of a file as text or as bytes.

    Examples
    --------
    >>> as_wanted(b"3.5", None), as_wanted(b"3.5", False), as_wanted(bytes(2), None)
    ('3.5', b'3.5', b'\x00\x00')
    """
    if text is False or (text is None and b"\0" in data):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        if text:
            raise JobGetError("The file is no text in UTF-8: ask for it with text=False.") from None
        return data


def packed(path: Path, name: str) -> bytes:
    """A directory as a gzipped tar, in which it has that name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", dereference=True) as tar:
        tar.add(path, name)
    return buffer.getvalue()


def given(found: Artifact, save_as: str | os.PathLike[str] | None, what: str) -> bytes | Path:
    """What a job left in the object store: saved, or its bytes.

    Parameters
    ----------
    save_as
        Where to save it: a directory as an archive if that ends with `.tgz` or `.tar.gz`; None: a file gives its bytes,
        a directory such an archive.
    what
        It, for the error.
    """
    archive = save_as is None or os.fspath(save_as).endswith((".tgz", ".tar.gz"))
    try:
        if save_as is not None and (not archive or found.kind == "file"):
            return found.download(save_as)
        content = found.path()
        data = content.read_bytes() if content.is_file() else packed(content, Path(found.name).name)
    except DaskflowError as error:
        raise JobGetError(f"{what} cannot be had: {error}") from error
    if save_as is None:
        return data
    Path(save_as).write_bytes(data)
    return Path(save_as)
