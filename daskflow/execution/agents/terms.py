"""What an agent takes, how it performs it, and for how long it serves."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from daskflow.stores.buckets.shelf import Wanted

_LEASE = 60.0


class Allowed(NamedTuple):
    """What works may name themselves, by patterns; nothing where there are none."""

    functions: tuple[str, ...] = ()
    """Functions that are imported: `package.module.function`, or `package.*`."""
    commands: tuple[str, ...] = ()
    """Programs that are started; `*` for any, and for lines of the shell. None leads to the directory above."""

    def function(self, name: str) -> bool:
        """Whether a function of that name may be imported."""
        return any(fnmatchcase(name, pattern) for pattern in self.functions)

    def command(self, argv: list[str]) -> bool:
        """Whether a command may be started; one text alone is a line for the shell, which may start anything."""
        if "*" in self.commands:
            return True
        # By way of the directory above, a pattern of any directory would lead to all of them.
        if len(argv) == 1 or ".." in argv[0].split("/"):
            return False
        return any(fnmatchcase(argv[0], pattern) for pattern in self.commands)


class Terms(NamedTuple):
    """The terms on which an agent serves."""

    wanted: Wanted
    """Which works it takes."""
    function: str = ""
    """Performs all works, whatever they name; empty: what they name, where that is allowed."""
    command: tuple[str, ...] = ()
    """The same, as a command."""
    argsource: Literal["parameters", "work"] = "parameters"
    """What functions are called with: the parameters by their names, or the work."""
    allowed: Allowed = Allowed()
    """What works may name themselves."""
    lives: int = -1
    """So many works are performed, then it ends; -1: any number."""
    idle: float | None = None
    """It ends when nothing was there to be performed for so long [s]; None: it waits for ever."""
    sleep: float = 30.0
    """Where the store cannot tell of new works it is looked for them so often [s]."""
    workers: int = 1
    """So many works are performed at a time."""
    grace: float | None = None
    """When it is to stop, works in hand get so long to end [s]; None: as long as they take."""
    lease: float = _LEASE
    """Works that it does not hold anew for so long are taken for lost [s]."""
