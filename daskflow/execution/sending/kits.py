"""What the workers of a run need to read and write values, ready to be sent."""

from __future__ import annotations

import sys

from daskflow.artifacts.forms.formats import registered
from daskflow.artifacts.forms.kit import Kit
from daskflow.artifacts.values import Values
from daskflow.execution.worker.identities import identify_classes
from daskflow.graph.task import findable


def kit_of(values: Values) -> Kit:
    """The kit of some values; formats that workers cannot import go along by value, as tasks do."""
    modules = {type(form).__module__ for form in registered()}
    for name in modules - {"__main__"}:
        if not findable(name):
            import cloudpickle

            cloudpickle.register_pickle_by_value(sys.modules[name])
    if modules:
        # Else a format would meet other classes there than those of the values that it is for.
        identify_classes(modules)
    return values.kit()
