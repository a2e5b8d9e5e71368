"""What a worker process of this machine executes as its main module, before anything else.

A Ctrl-C in the terminal reaches all processes at once. The driver decides what becomes of the run; workers leave it
alone, or they would be gone, with a page of tracebacks each, while the driver still writes down what they did.
"""

from __future__ import annotations

import logging
import signal
from types import FrameType


def leave_to_driver(signum: int, frame: FrameType | None) -> None:
    """Do nothing. A handler, unlike `SIG_IGN`, is not passed on to programs that jobs start: these do stop."""


if __name__ == "__mp_main__":
    signal.signal(signal.SIGINT, leave_to_driver)
    # What jobs log goes to their own logs, where nobody is disturbed by it: Python's default would drop what informs.
    logging.root.setLevel(logging.INFO)
