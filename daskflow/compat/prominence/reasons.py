"""Why a job did not complete, in the words of PROMINENCE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from daskflow.errors import (
    ArchiveRefused,
    ArtifactError,
    BatchError,
    CommandFailed,
    CommandMissing,
    ContainerError,
    FitsNowhere,
    InstallFailed,
    JobTimeout,
    MountMissing,
    OutOfMemory,
    OutputMissing,
    ScratchFull,
    SettingsInvalid,
    SiteUnknown,
    StartupFailed,
    WalltimeExceeded,
    WorkerLost,
)

DELETED = "Job deleted by user"
DELETED_WORKFLOW = "Workflow deleted by user"
DELETED_WITH = "Job part of a workflow which was deleted by user"
WAITED = "Maximum time queued was exceeded"
SKIPPED = "A job that it depends on did not complete"
EVICTED = "Job was evicted"
UNDEPLOYED = "Deployment failed"
_CANNOT_START = (126, 127)
_SIGNAL = 128
"""What was ended by a signal has an exit code above this."""


class Ending(NamedTuple):
    """How a job ended."""

    status: str
    reason: str = ""


_ENDINGS: tuple[tuple[tuple[type[Exception], ...], Ending], ...] = (
    ((JobTimeout, WalltimeExceeded), Ending("killed", "Walltime limit exceeded")),
    ((OutOfMemory,), Ending("killed", "Job used too much memory")),
    ((CommandMissing,), Ending("failed", "Unable to execute task(s)")),
    ((OutputMissing,), Ending("failed", "Stageout failed due to no such file or directory")),
    ((ContainerError,), Ending("failed", "Container image pull failed")),
    ((MountMissing,), Ending("failed", "Unable to mount storage volume")),
    ((ArchiveRefused,), Ending("failed", "Artifact uncompress failed")),
    ((ArtifactError,), Ending("failed", "Artifact download failed")),
    ((FitsNowhere, SiteUnknown, SettingsInvalid), Ending("failed", "No matching resources")),
    ((StartupFailed, BatchError, InstallFailed), Ending("failed", UNDEPLOYED)),
    ((WorkerLost,), Ending("failed", EVICTED)),
    ((ScratchFull,), Ending("failed", "No room is left in the scratch directory")),
)
"""The first that fits holds."""


def ending_of(error: BaseException | None, exit_codes: Sequence[int] = ()) -> Ending:
    """How a job ended that failed.

    Parameters
    ----------
    error
        What it failed with.
    exit_codes
        Of its tasks that began.

    Examples
    --------
    >>> ending_of(CommandFailed("`false` ended with exit code 1."), (0, 1))
    Ending(status='failed', reason='Task 1 ended with exit code 1')
    >>> ending_of(OutOfMemory())
    Ending(status='killed', reason='Job used too much memory')
    """
    if isinstance(error, CommandFailed) and exit_codes and exit_codes[-1]:
        last = exit_codes[-1]
        if last in _CANNOT_START:
            return Ending("failed", "Unable to execute task(s)")
        return Ending("failed", f"Task {len(exit_codes) - 1} ended with exit code {last}")
    for classes, ending in _ENDINGS:
        if isinstance(error, classes):
            return ending
    return Ending("failed", str(error or "it is not known why").partition("\n")[0])


def ending_of_process(error: str, exit_code: int | None = None) -> Ending:
    """How a job ended whose process ended without a word of it.

    Parameters
    ----------
    error
        The name of the error class of its batch job.
    exit_code
        Of the process.

    Examples
    --------
    >>> ending_of_process("CommandFailed", 137)
    Ending(status='failed', reason='Job was evicted')
    """
    if error == "CommandFailed" and (exit_code or 0) > _SIGNAL:
        return Ending("failed", EVICTED)
    known = {
        "OutOfMemory": Ending("killed", "Job used too much memory"),
        "WalltimeExceeded": Ending("killed", "Walltime limit exceeded"),
        "CommandMissing": Ending("failed", UNDEPLOYED),
        "CommandFailed": Ending("failed", UNDEPLOYED),
        "StartupFailed": Ending("failed", UNDEPLOYED),
    }
    return known.get(error, Ending("failed", EVICTED))
