"""The exit codes of `daskflow`."""

from __future__ import annotations

from daskflow.errors import StoreError, UsageError

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 3


def exit_of(error: BaseException | None) -> int:
    """The exit code for what failed with an error.

    Examples
    --------
    >>> exit_of(UsageError("no such flow")), exit_of(None)
    (2, 1)
    """
    return USAGE if isinstance(error, (UsageError, StoreError)) else FAILED
