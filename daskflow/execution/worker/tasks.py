"""The tasks that came to this worker: unpickled once, and refused where their code is another than the driver's."""

from __future__ import annotations

import pickle
from typing import Any

from daskflow.errors import CodeMismatch
from daskflow.execution.worker.imports import parts_at
from daskflow.execution.worker.package import Shipped
from daskflow.execution.worker.versions import differences, version_of

_REMEMBERED = 500
_tasks: dict[bytes, Any] = {}


def task_of(packed: bytes) -> Any:
    """A task, unpickled once.

    Raises
    ------
    CodeMismatch
        What was imported here is other code than that which the key describes.
    """
    found = _tasks.get(packed)
    if found is None:
        if len(_tasks) > _REMEMBERED:
            _tasks.clear()
        shipped: Shipped = pickle.loads(packed)
        check(shipped)
        found = _tasks[packed] = shipped.task
    return found


def check(shipped: Shipped) -> None:
    """Refuse to perform other code than that which the key describes. Raises CodeMismatch."""
    if not shipped.parts:
        return
    own = parts_at(shipped.places) if shipped.places else shipped.task.fingerprint().parts
    differing = differences(own, shipped.parts)
    if differing:
        package = shipped.package
        versions = f"It belongs to {version_of(shipped.task.__module__)} here, to {package} in the driver. "
        raise CodeMismatch(
            f"{shipped.task.policy.name} is not the same here as in the driver; these differ: {', '.join(differing)}. "
            f"{versions if package else ''}"
            "If a file was changed meanwhile, run the flow again: the workers import it anew; a package that was "
            "brought to the site by `install` has to be brought again. If a global value is another in each process, "
            "such as a time or the name of a host, pass it as an argument."
        )
