"""What a pilot executes: one dask worker, which knows of which batch job it is and when its time is over.

Usage: `python -m daskflow.sites.pilots.main --scheduler ADDRESS --batch-id ID --ends SECONDS ...`.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daskflow.sites import notice
from daskflow.sites.allocation import Allocation, settle
from daskflow.sites.pilots.placer import TOLD, WARNED
from daskflow.sites.processes import adopt, kill_descendants
from daskflow.sites.security import security_in

_WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)
"""By these some batch systems warn before the end."""
_ARRIVAL = 120.0
"""A pilot that does not reach its scheduler in this time ends [s]."""


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m daskflow.sites.pilots.main")
    for name in ("site", "pool", "scheduler", "batch-id", "home", "system"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("cores", "memory"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--ends", type=float, required=True)
    parser.add_argument("--notice", type=float, default=0.0)
    for name in ("tls", "interface", "scratch", "node"):
        parser.add_argument(f"--{name}", default="")
    return parser.parse_args(arguments)


def allocation_of(options: argparse.Namespace) -> Allocation:
    """What the batch job has."""
    return Allocation(
        options.system,
        options.batch_id,
        options.site,
        options.pool,
        options.node or socket.gethostname(),
        options.cores,
        options.memory,
        gpus=options.gpus,
        ends=options.ends,
        notice=options.notice,
    )


async def serve(options: argparse.Namespace) -> None:
    """Be a worker until the scheduler says that it is enough, or is gone."""
    from distributed import Worker

    allocation = allocation_of(options)
    settle(allocation)
    told = {"id": allocation.id, "pool": allocation.pool, "node": allocation.node, "ends": allocation.ends}
    scratch = Path(options.scratch) if options.scratch else None
    if scratch is not None:
        scratch.mkdir(parents=True, exist_ok=True)

    def tell(_: Any) -> dict[str, Any]:
        return told

    async with Worker(
        options.scheduler,
        nthreads=allocation.cores,
        # A text with a letter: dask takes what looks like a number for one, `17_3` too.
        name=f"{allocation.pool}/{allocation.id}",
        memory_limit=allocation.memory,
        security=security_in(Path(options.tls)) if options.tls else None,
        interface=options.interface or None,
        local_directory=str(scratch) if scratch is not None else None,
        death_timeout=_ARRIVAL,
        startup_information={TOLD: tell},
        dashboard=False,
    ) as worker:
        _hear_warnings(worker)
        await worker.finished()


def _hear_warnings(worker: Any) -> None:
    """Tell the scheduler when the batch system warns: what is handed over here is not to come straight back."""
    import asyncio

    loop = asyncio.get_running_loop()

    def tell() -> None:
        worker.log_event(WARNED, worker.address)

    def warned(*_: Any) -> None:
        notice.give()
        # A signal may come in the middle of what the loop is doing.
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell)

    for number in _WARNINGS:
        signal.signal(number, warned)
    if notice.given():
        tell()


def _end(signum: int, _: Any) -> None:
    """The batch system ends the job: so does what it performs, at once, before the system loses its patience."""
    kill_descendants(0.0)
    os._exit(128 + signum)


def main(arguments: Sequence[str]) -> int:
    """Run a pilot; its exit code."""
    import asyncio

    options = parsed(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    for name in ("distributed.core", "distributed.utils_perf"):
        logging.getLogger(name).setLevel(logging.WARNING)
    adopt()
    # What is performed is told to stop; the scheduler hears of it as soon as it is reached.
    for number in _WARNINGS:
        signal.signal(number, lambda *_: notice.give())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    try:
        asyncio.run(serve(options))
    except (OSError, TimeoutError) as error:
        print(
            f"The pilot does not reach its scheduler at {options.scheduler}: {error}. Look at the option `interface` "
            "of the site, and whether the driver is still there.",
            file=sys.stderr,
        )
        return 1
    finally:
        kill_descendants(0.0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
