"""The files that jobs get, as the PROMINENCE client says them."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import daskflow
from daskflow.compat.prominence.errors import FileUploadError, JobCreationError
from daskflow.errors import DaskflowError


class InputFile:
    """A small file that a job finds in its scratch directory.

    Parameters
    ----------
    filename
        Its name there; without a content the path of a local file, which is read now, and whose last part is the name.
    content
        Text or bytes; an empty one makes an empty file.
    executable
        Whether commands may execute it.

    Raises
    ------
    JobCreationError
        There is no such local file, or the content is something else.

    Examples
    --------
    >>> InputFile("sample.in", "variable nsteps equal 200").text
    'variable nsteps equal 200'
    """

    def __init__(self, filename: str, content: str | bytes | None = None, *, executable: bool = False) -> None:
        if content is None:
            path = Path(filename)
            try:
                self.data = path.read_bytes()
            except OSError as error:
                raise JobCreationError(
                    f"The input file {filename} cannot be read: {error.strerror}. Check the path, or give a content."
                ) from None
            filename = path.name
        elif isinstance(content, str):
            self.data = content.encode()
        elif isinstance(content, bytes):
            self.data = content
        else:
            raise JobCreationError(f"The content of the input file {filename!r} is a {type(content).__name__}.")
        self.filename = filename
        """Its path in the scratch directory."""
        self.executable = executable
        """Whether commands may execute it."""

    @property
    def text(self) -> str:
        """What it holds, read as UTF-8."""
        return self.data.decode()

    def to_dict(self) -> dict[str, Any]:
        """As JSON describes it."""
        executable = {"executable": True} if self.executable else {}
        return {"filename": self.filename, "content": base64.b64encode(self.data).decode(), **executable}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> InputFile:
        """What a description says."""
        return cls(data["filename"], base64.b64decode(data["content"]), executable=data.get("executable", False))


class Artifact:
    """A large file that a job finds in its scratch directory; archives are unpacked there.

    Parameters
    ----------
    name
        That of the object in the store, or a URL.
    directory_name, mount_point
        A directory, or file, that it brings, and the absolute path where the containers of all tasks show it too.
    executable
        Whether commands may execute it.
    """

    def __init__(
        self, name: str, directory_name: str | None = None, mount_point: str | None = None, *, executable: bool = False
    ) -> None:
        self.name = name
        self.directory_name = directory_name
        self.mount_point = mount_point
        self.executable = executable

    def upload(self, filename: str | os.PathLike[str]) -> None:
        """Bring a file or a directory into the object store under the name.

        Raises
        ------
        FileUploadError
            There is no such file, or the store does not take it.
        """
        try:
            daskflow.Artifact(self.name).upload(Path(filename))
        except DaskflowError as error:
            raise FileUploadError(f"{os.fspath(filename)} cannot be uploaded as {self.name!r}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """As JSON describes it."""
        data: dict[str, Any] = {"url": self.name}
        if self.directory_name or self.mount_point:
            data["mountpoint"] = f"{self.directory_name or ''}:{self.mount_point or ''}"
        return {**data, "executable": True} if self.executable else data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Artifact:
        """What a description says."""
        folder, _, mount = (data.get("mountpoint") or "").partition(":")
        return cls(data["url"], folder or None, mount or None, executable=data.get("executable", False))
