"""Artifacts and command jobs of the configured project; apart from the front, since most flows do without."""

from __future__ import annotations

from daskflow.artifacts.artifact import Artifact
from daskflow.execution.commanding.job import CommandJob
from daskflow.settings.front import launcher

__all__ = ["Artifact", "CommandJob"]

Artifact.home = staticmethod(launcher.store)
Artifact.digests = staticmethod(launcher.known_digests)
CommandJob.launcher = launcher
