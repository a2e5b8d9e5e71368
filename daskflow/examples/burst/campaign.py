"""Deposits one work per event, has agents perform them, and finds the results again by event.

::

    events ──► deposit ──► bucket `burst` ──► agents: measure ──► archive of products and plots
                               ▲                                          │
    found(event) ◄─────────────┴──────────────────── results ◄────────────┘
"""

import getpass
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from daskflow import Buckets, Work
from daskflow.examples.burst.simulation import random_burst, write_waterfall

PIPELINE = "burst"
"""Name of the bucket."""
FUNCTION = "daskflow.examples.burst.measure.measure"
"""What agents perform."""


def deposit(buckets: Buckets, events: Iterable[int], folder: Path, *, site: str = "local") -> list[str]:
    """Simulate what a telescope has recorded of events, and deposit a work for each.

    Parameters
    ----------
    folder
        Where the files go, one for each event; made where it is not there.

    Returns
    -------
    list of str
        Ids of the works.
    """
    folder.mkdir(parents=True, exist_ok=True)
    works = []
    for event in events:
        path = folder.absolute() / f"event-{event}.h5"
        write_waterfall(path, random_burst(event), event)
        work = Work(pipeline=PIPELINE, site=site, user=getpass.getuser(), function=FUNCTION)
        work.parameters, work.event, work.tags = {"path": str(path)}, [event], ["simulated"]
        work.timeout = 600
        works.append(work)
    return buckets.deposit(works)


def perform(count: int, *, agents: int = 2, site: str = "local") -> None:
    """Let agents serve the bucket until so many works are performed.

    Raises
    ------
    subprocess.CalledProcessError
        An agent did not end well.
    """
    command = [sys.executable, "-m", "daskflow", "work", "run", PIPELINE, FUNCTION, "--site", site]
    lives = [len(range(number, count, agents)) for number in range(agents)]
    started = [subprocess.Popen([*command, "--lives", str(share)]) for share in lives if share]
    codes = [agent.wait() for agent in started]
    for agent, code in zip(started, codes, strict=True):
        if code:
            raise subprocess.CalledProcessError(code, agent.args)


def found(buckets: Buckets, event: int) -> Work | None:
    """What was found of an event: the newest work that succeeded; None where there is none."""
    works = buckets.view({"pipeline": PIPELINE, "event": event, "status": "success"}, limit=1)
    return works[0] if works else None


def far(buckets: Buckets, dm: float) -> list[Work]:
    """The works that found a dispersion measure above this [pc / cm^3], the largest first."""
    query = {"pipeline": PIPELINE, "status": "success", "results.dm": {"$gt": dm}}
    return buckets.view(query, sort={"results.dm": -1}, limit=-1)


def main(arguments: Sequence[str] = ()) -> None:
    """Measure some events, `python -m daskflow.examples.burst 8`, and print what was found."""
    count = _count(arguments)
    with Buckets() as buckets:
        first = 1 + max([work.event[0] for work in buckets.view({"pipeline": PIPELINE}, limit=-1) if work.event] or [0])
        events = range(first, first + count)
        deposit(buckets, events, Path("bursts"))
        perform(count)
        print("event  DM [pc/cm³]      width [ms]    S/N  simulated")
        for event in events:
            work, true = found(buckets, event), random_burst(event)
            if work is None:
                print(f"{event:5}  not found")
                continue
            values = work.results
            dm = f"{values['dm']:.2f} ± {values['dm_error']:.2f}"
            width = f"{values['width'] * 1e3:.2f} ± {values['width_error'] * 1e3:.2f}"
            simulated = f"DM {true.dm:.2f}, {true.width * 1e3:.2f} ms"
            print(f"{event:5}  {dm:15}  {width:12}  {values['snr']:3.0f}  {simulated}")


def _count(arguments: Sequence[str]) -> int:
    text = arguments[0] if arguments else "4"
    if len(arguments) > 1 or not text.isdecimal() or not int(text):
        print(
            f"{' '.join(arguments)!r} is no number of events. Say how many are to be measured, or nothing for 4: "
            "python -m daskflow.examples.burst 8",
            file=sys.stderr,
        )
        raise SystemExit(2)
    return int(text)
