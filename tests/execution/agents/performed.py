"""Functions that works of tests name."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from functools import partial
from os import system as borrowed
from pathlib import Path
from typing import Any

import click
import typer

from daskflow.errors import SignatureWrong
from daskflow.execution.served import reached
from daskflow.model.work import Work

__all__ = ["borrowed"]


def add(x: float, y: float = 1.0) -> float:
    """A scalar, as the oldest example of the field returns one."""
    return x + y


def measure(dm: float = 332.7) -> tuple[dict[str, float], list[str], list[str]]:
    print("measuring")
    logging.getLogger("measure").warning("noisy")
    Path("fit.h5").write_bytes(b"\x00fit")
    Path("fit.png").write_bytes(b"\x89PNG")
    return {"dm": dm}, ["fit.h5"], ["fit.png"]


def measure_in_short() -> tuple[dict[str, float], str, Path]:
    """One product and one plot, which do not stand in lists."""
    results, (product,), (plot,) = measure()
    return results, product, Path(plot)


def server() -> str | None:
    """Where the server is from which the work came."""
    found = reached()
    return None if found is None else found.url


def raising() -> None:
    raise ValueError("no peak was found")


def exiting() -> None:
    sys.exit("stopped by itself")


def crashing() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def endless() -> None:
    while True:
        pass


def waiting(started: str, until: str) -> str:
    """Tell that it has begun, and its process; ends when a file appears."""
    made = Path(started)
    made.with_suffix(".part").write_text(str(os.getpid()))
    made.with_suffix(".part").rename(made)
    while not Path(until).exists():
        time.sleep(0.01)
    return "seen"


def fathering(started: str) -> None:
    """Start a process of its own session, tell its id, and wait for ever."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    waiting_place = Path(started)
    waiting_place.with_suffix(".part").write_text(str(process.pid))
    waiting_place.with_suffix(".part").rename(waiting_place)
    process.wait()


def unspeakable() -> Any:
    return {"found": object()}


def large() -> str:
    return "x" * (5 << 20)


def talking(count: int) -> None:
    for number in range(count):
        print(f"line {number:08}")


async def later(x: int) -> int:
    return x + 1


def with_work(work: Work) -> Work:
    work.results = {"event": work.event}
    work.products = []
    work.tags = [*(work.tags or []), "seen"]
    return work


def by_result(work: Work) -> dict[str, Any]:
    return {"pipeline": work.pipeline}


def only_changing(work: Work) -> None:
    work.results = [1, 2]


def only_named(x: int, /, y: int) -> int:
    return x - y


bound = partial(add, y=40.0)


class Fitter:
    @staticmethod
    def fit(x: int) -> int:
        return -x


@click.command()
@click.option("--snr", "-f", type=float, default=5.0)
@click.option("--number", type=int, default=7)
@click.option("--flag/--no-flag", default=True)
@click.option("--box", nargs=2, type=int)
@click.option("--name", multiple=True)
@click.option("--kind", type=click.Choice(["a", "b"]), default="a")
@click.option("--note", default="none")
@click.argument("path", required=False)
def clicked(**options: Any) -> dict[str, Any]:
    return options


@click.command()
@click.option("--code", type=int, required=True)
@click.pass_context
def leaving(context: click.Context, code: int) -> None:
    context.exit(code)


@click.group()
def grouped() -> None: ...


@grouped.command()
def member() -> None: ...


app = typer.Typer()


@app.command()
def typed(dm: float, snr: float = 5.0, *, good: bool = True) -> dict[str, Any]:
    return {"dm": dm, "snr": snr, "good": good}


def wrongly_signed() -> None:
    raise SignatureWrong("not ours")
