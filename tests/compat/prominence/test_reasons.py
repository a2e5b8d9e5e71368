from __future__ import annotations

import pytest

from daskflow import errors
from daskflow.compat.prominence.reasons import EVICTED, UNDEPLOYED, Ending, ending_of, ending_of_process


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (errors.JobTimeout(), "killed", "Walltime limit exceeded"),
        (errors.WalltimeExceeded(), "killed", "Walltime limit exceeded"),
        (errors.OutOfMemory(), "killed", "Job used too much memory"),
        (errors.CommandMissing(), "failed", "Unable to execute task(s)"),
        (errors.OutputMissing(), "failed", "Stageout failed due to no such file or directory"),
        (errors.ContainerError(), "failed", "Container image pull failed"),
        (errors.ArchiveRefused(), "failed", "Artifact uncompress failed"),
        (errors.ArtifactMissing(), "failed", "Artifact download failed"),
        (errors.FetchFailed(), "failed", "Artifact download failed"),
        (errors.FitsNowhere(), "failed", "No matching resources"),
        (errors.SiteUnknown(), "failed", "No matching resources"),
        (errors.StartupFailed(), "failed", UNDEPLOYED),
        (errors.NodeFailure(), "failed", EVICTED),
        (errors.JobFailed("it broke\nhere"), "failed", "it broke"),
        (None, "failed", "it is not known why"),
    ],
)
def test_errors_in_the_words_of_prominence(error: Exception | None, status: str, reason: str) -> None:
    assert ending_of(error) == Ending(status, reason)


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        ((0, 3), "Task 1 ended with exit code 3"),
        ((127,), "Unable to execute task(s)"),
        ((126,), "Unable to execute task(s)"),
        ((137,), "Task 0 ended with exit code 137"),
    ],
)
def test_exit_codes(codes: tuple[int, ...], reason: str) -> None:
    assert ending_of(errors.CommandFailed(), codes).reason == reason


@pytest.mark.parametrize(
    ("error", "code", "ending"),
    [
        ("OutOfMemory", 137, Ending("killed", "Job used too much memory")),
        ("CommandFailed", 1, Ending("failed", UNDEPLOYED)),
        ("CommandFailed", 137, Ending("failed", EVICTED)),
        ("WorkerLost", None, Ending("failed", EVICTED)),
        ("", None, Ending("failed", EVICTED)),
    ],
)
def test_processes_that_ended_without_a_word(error: str, code: int | None, ending: Ending) -> None:
    assert ending_of_process(error, code) == ending
