"""The exit codes of `daskflow`."""

from __future__ import annotations

from daskflow.errors import StoreError, StoreMissing, UsageError

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 3


def exit_of(error: BaseException | None) -> int:
    """The exit code for what failed with an error.

    Notes
    -----
    A store that does not answer, or is full, is no mistake of who asks: the same may be done another time. One that was
    named wrongly, or that lets nobody in, is.

    Examples
    --------
    >>> exit_of(UsageError("no such flow")), exit_of(None)
    (2, 1)
    """
    if isinstance(error, StoreError) and not isinstance(error, StoreMissing):
        return FAILED if error.transient else USAGE
    return USAGE if isinstance(error, (UsageError, StoreMissing)) else FAILED
