"""Who may read a file that was made for its owner alone."""

from __future__ import annotations

import os
import re
from pathlib import Path

_STATUS = Path("/proc/self/status")
_UMASK = re.compile(r"^Umask:\s*([0-7]+)$", re.MULTILINE)


def share(path: str | os.PathLike[str]) -> None:
    """Let those read and write a file who may with any file that this process makes, as its umask says.

    Raises
    ------
    OSError

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     share(file.name)
    """
    os.chmod(path, 0o666 & ~_umask())


def _umask() -> int:
    # To ask by os.umask sets it: what other threads make meanwhile anybody might write.
    try:
        found = _UMASK.search(_STATUS.read_text())
    except OSError:
        found = None
    if found is not None:
        return int(found[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
