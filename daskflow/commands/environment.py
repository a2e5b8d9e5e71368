"""The environment of commands: what they are told about the job that they belong to."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

from daskflow.commands.order import Order, Tools
from daskflow.commands.scratch import Scratch
from daskflow.commands.templates import fill_text, plain, text_of
from daskflow.errors import ArgumentsInvalid

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables by which numerical libraries are told how many threads to use. Dask's workers have them all at 1."""
_LONGEST = 8192
"""Longer values of parameters are no variables: the system limits how much a process is given [bytes]."""


def own_variables(order: Order, tools: Tools, scratch: Scratch, env: Mapping[str, str]) -> dict[str, str]:
    """The variables that a command gets beside those of its worker.

    Parameters
    ----------
    env
        Its own ones, filled in; they win.

    Raises
    ------
    ArgumentsInvalid
        A variable of the job names a parameter that is not there, or one without a text.
    """
    return {
        **_facts(order, tools, scratch),
        **{f"DASKFLOW_PARAM_{name.upper()}": text for name, text in _parameters(order.parameters)},
        **{name: fill_text(text, order.parameters) for name, text in order.env.items()},
        **env,
    }


def _facts(order: Order, tools: Tools, scratch: Scratch) -> dict[str, str]:
    facts = {
        "DASKFLOW_RUN": tools.run,
        "DASKFLOW_JOB": tools.job,
        "DASKFLOW_ATTEMPT": str(tools.attempt),
        "DASKFLOW_SCRATCH_DIR": os.fspath(scratch.work),
        "TMPDIR": os.fspath(scratch.tmp),
    }
    left = tools.time_left()
    if not math.isinf(left):
        facts["DASKFLOW_TIME_LEFT"] = f"{max(0.0, left):.3f}"
    if order.memory is not None:
        facts["DASKFLOW_MEMORY"] = str(order.memory)
    if order.cores is not None:
        facts["DASKFLOW_CORES"] = str(order.cores)
        # In a batch job of several ranks each of them has only some of the cores.
        facts |= dict.fromkeys(_THREADS, os.environ.get("DASKFLOW_THREADS", str(order.cores)))
    return facts


def _parameters(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in parameters.items():
        if not name.isidentifier():
            continue  # no name of a variable
        try:
            given = plain(value)
            text = json.dumps(given) if isinstance(given, (list, dict)) else text_of(given)
        except (ArgumentsInvalid, TypeError, ValueError):
            continue  # it has no text; the commands that name it have said so
        if len(os.fsencode(text)) <= _LONGEST:
            yield name, text
