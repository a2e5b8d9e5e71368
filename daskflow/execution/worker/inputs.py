"""Sees to it that a job was performed with the files that its key tells of."""

from __future__ import annotations

from collections.abc import Sequence

from daskflow.artifacts.contents.digests import digest_path, seal_path
from daskflow.errors import DaskflowError, InputChanged
from daskflow.model.outcome import InputFile


def check_unchanged(files: Sequence[InputFile]) -> None:
    """Check files and directories after a job has read them.

    Raises
    ------
    InputChanged
        The content of one is not what it was when the key was made.

    Notes
    -----
    Reads no file whose identity, size and time are the same.
    """
    for file in files:
        if not _unchanged(file):
            raise InputChanged(
                f"The input {file.path} changed after the call was made, so that the result does not belong to it. Run "
                "the flow again when the file is complete. If the task itself writes there, pass `str(path)`: then "
                "the name counts in place of the content."
            )


def _unchanged(file: InputFile) -> bool:
    try:
        return seal_path(file.path) == file.seal or digest_path(file.path) == file.digest
    except DaskflowError:  # it is gone, or cannot be read any more
        return False
