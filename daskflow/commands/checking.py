"""Sees early, before anything runs, that a command job makes sense."""

from __future__ import annotations

from collections import Counter

from daskflow.commands.order import Order
from daskflow.commands.outputs import checked_pattern
from daskflow.commands.scratch import checked_name
from daskflow.commands.templates import check
from daskflow.errors import ArgumentsInvalid


def check_order(order: Order) -> None:
    """See that an order can be carried out, as far as that is known before.

    Raises
    ------
    ArgumentsInvalid
        There is no command that is not a sidecar; a parameter is used that is not there; a mount has no absolute place;
        two input files have one name.
    PathRefused
        The name of a file or the pattern of an output leads out of the scratch directory.

    Notes
    -----
    Of the parameters only the names count: their values may be results that are not there yet.
    """
    if all(command.sidecar for command in order.commands):
        raise ArgumentsInvalid("A command job needs a command that is no sidecar: its end is that of the job.")
    for text in order.env.values():
        check(text, order.parameters)
    for command in order.commands:
        check(command, order.parameters)
        if command.sidecar and (command.retries or command.timeout):
            raise ArgumentsInvalid(f"{command.text!r:.200} is a sidecar, which has neither timeout nor retries.")
        for target, path in command.mounts.items():
            checked_name(path)
            if not target.startswith("/") or ".." in target.split("/") or not target.strip("/"):
                raise ArgumentsInvalid(f"{target!r:.200} is no place for a mount: give an absolute path, without `..`.")
    names = Counter(checked_name(file.name) for file in order.inputs)
    for name, count in names.items():
        if count > 1:
            raise ArgumentsInvalid(f"There are {count} input files {name!r}: give each a name of its own.")
    for pattern in (*order.files, *order.folders):
        checked_pattern(pattern)
    for name in (*order.env, *[name for command in order.commands for name in command.env]):
        if not name or "=" in name or "\0" in name:
            raise ArgumentsInvalid(f"{name!r} is no name of a variable of the environment.")
