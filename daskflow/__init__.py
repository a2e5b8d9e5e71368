"""Scientific workflows as ordinary Python, on a laptop or an HPC site, that remember every result."""

from daskflow.execution.attempt import current as current
from daskflow.execution.run import Run as Run
from daskflow.model.policy import Resources as Resources
from daskflow.settings import flow as flow
from daskflow.settings import report as report
from daskflow.settings import site as site
from daskflow.settings import task as task

__all__ = ["Resources", "Run", "current", "flow", "report", "site", "task"]
