"""The folder that a submitted driver has in the directory which driver and nodes share."""

from __future__ import annotations

import os
from pathlib import Path

_END = 65536


class DriverFolder:
    """Where the script and the log of one run's driver lie.

    Parameters
    ----------
    home
        The shared directory of the site at which the driver runs.
    run
        Id of the run.
    """

    def __init__(self, home: str | Path, run: str) -> None:
        self.path = Path(home).expanduser().absolute() / "drivers" / run

    @property
    def script(self) -> Path:
        """The job script."""
        return self.path / "script"

    @property
    def log(self) -> Path:
        """What driver and batch system print, of all starts after each other."""
        return self.path / "log"

    def make(self) -> None:
        """Make the folder; nobody but its owner reads it."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def keep_script(self, text: str) -> None:
        """Write the script, for people to look at and for submitting it again."""
        part = self.script.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        part.replace(self.script)

    def said(self, limit: int = _END) -> str:
        """The end of the log [characters]; empty where there is none yet."""
        try:
            with self.log.open("rb") as file:
                file.seek(0, os.SEEK_END)
                start = max(0, file.tell() - limit)
                file.seek(start)
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return text if not start else text.partition("\n")[2]
