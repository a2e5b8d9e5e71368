"""Jobs of PROMINENCE, as tests make them."""

from __future__ import annotations

from typing import Any

from daskflow.compat.prominence.job import Job
from daskflow.compat.prominence.tasks import Task


def made(*commands: str, name: str = "", **attributes: Any) -> Job:
    """A job of commands."""
    job = Job()
    job.name, job.tasks = name, [Task(command=command) for command in commands]
    for attribute, value in attributes.items():
        if not hasattr(job, attribute):
            raise AttributeError(attribute)
        setattr(job, attribute, value)
    return job
