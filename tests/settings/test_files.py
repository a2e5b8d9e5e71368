"""Artifacts and command jobs know the configured project, and cost nothing where they are not used."""

import subprocess
import sys
from pathlib import Path

from daskflow.settings import front
from daskflow.settings.files import Artifact, CommandJob
from daskflow.settings.front import choose, launcher
from tests.acceptance.shell import environment
from tests.conftest import settings_in


def test_they_know_the_project(here: Path) -> None:
    try:
        choose(settings_in(here))
        project = launcher.project()
        artifact = Artifact("words").upload(b"some words")
        assert artifact.store is project.values.store
        assert CommandJob(["cat words"], artifacts=[artifact]).stdout() == "some words"
    finally:
        launcher.close()
        # Those after it in this process find what is configured where they are.
        front._chosen.settings = None


def test_who_uses_neither_does_not_pay_for_them(here: Path) -> None:
    code = (
        "import sys; from daskflow import task, flow\n"
        "print([name for name in sys.modules if name.startswith(('daskflow.commands', 'daskflow.artifacts.artifact'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
