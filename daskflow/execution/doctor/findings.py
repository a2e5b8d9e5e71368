"""What one look at a site found, and how it is looked: one thing after the other, each in bounded time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from daskflow.errors import DaskflowError


class Mark(StrEnum):
    """How something is."""

    ok = "ok"
    warning = "warning"
    """It works, but something is to be known; or nobody could find out in time."""
    broken = "broken"
    skipped = "skipped"
    """Not looked at: what it needs is broken, or it does not apply."""


class Finding(NamedTuple):
    """What one look found."""

    check: str
    """What was looked at, in a word or two."""
    mark: Mark
    text: str
    cure: str = ""
    """What to do, where something is."""
    seconds: float = 0.0
    """How long the look took [s]."""


Look: TypeAlias = Callable[[], "Finding | Sequence[Finding]"]


def good(text: str) -> Finding:
    """All is well."""
    return Finding("", Mark.ok, text)


def odd(text: str, cure: str = "") -> Finding:
    """It may work, but something is to be known."""
    return Finding("", Mark.warning, text, cure)


def bad(text: str, cure: str) -> Finding:
    """It cannot work so."""
    return Finding("", Mark.broken, text, cure)


def passed_over(text: str) -> Finding:
    """Not looked at, and why."""
    return Finding("", Mark.skipped, text)


def look(check: str, what: Look, timeout: float) -> Iterator[Finding]:
    """What a look finds; one that takes too long, or fails, is a finding too.

    Parameters
    ----------
    timeout
        After this time nobody waits for it any more [s].
    """
    found: list[Finding] = []

    def work() -> None:
        found.extend(_findings(what))

    thread = threading.Thread(target=work, name=f"daskflow-check-{check}", daemon=True)
    began = time.monotonic()
    thread.start()
    thread.join(timeout)
    seconds = time.monotonic() - began
    if thread.is_alive():
        cure = "Look at the file systems and the network of this machine: something hangs."
        found = [bad(f"no answer within {timeout:g} s", cure)]
    for one in found:
        yield one._replace(check=one.check or check, seconds=one.seconds or round(seconds, 3))


def _findings(what: Look) -> Sequence[Finding]:
    try:
        made = what()
    except DaskflowError as error:
        # Our own errors tell what to do by themselves.
        text, _, cure = flat(str(error)).partition(". ")
        return [bad(text.rstrip("."), cure)]
    except Exception as error:
        return [bad(f"{type(error).__name__}: {error}", "This should not happen: the check itself failed.")]
    return [made] if isinstance(made, Finding) else made


def flat(text: str) -> str:
    """Several lines as one, without the frames that programs draw around what matters to them."""
    return " ".join(line.strip("* \t") for line in text.splitlines() if line.strip("* \t"))
