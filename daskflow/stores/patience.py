"""Waits for a store that is away for a while: its server is started again, or the network to it is mended."""

from __future__ import annotations

import functools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar, cast

from daskflow.errors import DaskflowError, StoreError, StoreUnavailable
from daskflow.stores.database import Database

_log = logging.getLogger("daskflow")
_SHORTEST, _LONGEST = 0.1, 5.0
"""How long a thread sleeps before it tries again, at first and in the end [s]."""
_OLD = 7 * 86400.0
"""What is noted of units is of no use after this time [s]: nobody is as patient."""

_Given = TypeVar("_Given")


class Patience:
    """How those who work with a store bear that it is away.

    Parameters
    ----------
    database
        The store.
    longest
        For so long it is waited for, from when it was first missed [s]; 0: not at all.

    Notes
    -----
    Any thread may use it, and waits only if it was told to: who performs a run waits, who looks at one does not. What
    is asked before the store has ever answered is not waited for: a wrong address is told at once. Within a transaction
    nothing is tried again, for what came before in it is lost as well. A file is never away: for SQLite all is done
    once.
    """

    def __init__(self, database: Database, longest: float = 0.0) -> None:
        self.longest = longest if database.kind == "postgresql" else 0.0
        """For so long a store that is away is waited for [s]."""
        self._database = database
        self._mine = _Mine()
        self._lock = threading.Lock()
        self._answered = False
        self._missed: float | None = None
        self._told = False
        self._names: list[str] = []
        self._swept = False

    def __reduce__(self) -> Any:
        return Patience, (self._database, self.longest)

    @property
    def away(self) -> bool:
        """Whether the store is known to be away."""
        return self._told

    @contextmanager
    def until(self, event: threading.Event) -> Iterator[None]:
        """Let this thread wait within the block for a store that is away, no longer than until an event."""
        before, self._mine.cut = self._mine.cut, event
        try:
            yield
        finally:
            self._mine.cut = before

    def read(self, action: Callable[[], _Given]) -> _Given:
        """Do what changes nothing in the store; where it is away, do it again when it is back.

        Raises
        ------
        StoreUnavailable
            It was away for too long.
        """
        return action() if self._is_once() else self._done(action)

    def write(self, action: Callable[[], _Given]) -> _Given:
        """Do what writes as one unit; where the store is away, do it again when it is back, unless it was written.

        Raises
        ------
        StoreUnavailable
            It was away for too long: whether the unit was written is not known.

        Notes
        -----
        A unit leaves a mark that is written with it. So it is known of a commit whose answer was lost whether it
        happened, and nothing is written twice.
        """
        if self._is_once():
            return action()
        with self._lock:
            name = self._names.pop() if self._names else f"unit {uuid.uuid4().hex}"
        try:
            return self._done(_Unit(self._database, name, action, sweep=self._sweep).once)
        finally:
            with self._lock:
                self._names.append(name)

    def _is_once(self) -> bool:
        mine = self._mine
        return mine.cut is None or mine.within or self.longest <= 0 or self._database.in_transaction

    def _done(self, action: Callable[[], _Given]) -> _Given:
        mine, tries, began = self._mine, 0, 0.0
        mine.within = True
        try:
            while True:
                try:
                    given = action()
                except StoreUnavailable as error:
                    began = began or time.monotonic()
                    self._wait(error, tries, began)
                    tries += 1
                except StoreError:
                    raise
                except DaskflowError:
                    self._note_answer()
                    raise
                else:
                    self._note_answer()
                    return given
        finally:
            mine.within = False

    def _wait(self, error: StoreUnavailable, tries: int, began: float) -> None:
        """Sleep until it is time to try again; raises where nobody waits any more."""
        now, cut = time.monotonic(), self._mine.cut
        with self._lock:
            missed = self._missed = now if self._missed is None else self._missed
        # Some answers may come while others do not: so each caller has a patience, and all together have one.
        waited = now - min(missed, began)
        if not self._answered or cut is None or cut.is_set():
            raise error
        if waited >= self.longest:
            raise StoreUnavailable(f"{error} It was waited for, for {waited:.0f} s.") from error
        # Only this connection may be lost: at first it is tried again at once, without a word.
        if tries:
            self._tell(error)
            cut.wait(min(_SHORTEST * 2 ** min(tries - 1, 10), _LONGEST, self.longest - waited))

    def _tell(self, error: StoreUnavailable) -> None:
        with self._lock:
            told, self._told = self._told, True
        if not told:
            _log.warning("%s It is waited for, for %.0f s at most.", error, self.longest)

    def _note_answer(self) -> None:
        self._answered = True
        if self._missed is None:
            return
        with self._lock:
            missed, self._missed = self._missed, None
            told, self._told = self._told, False
        if told and missed is not None:
            _log.warning("%s answers again after %.0f s.", self._database.place, time.monotonic() - missed)

    def _sweep(self) -> None:
        """Remove, once, what processes left that were killed."""
        if not self._swept:
            self._database.write("drop_units", before=_stamp(time.time() - _OLD))
            self._swept = True


class _Mine(threading.local):
    """What belongs to one thread."""

    within: bool = False
    cut: threading.Event | None = None


class _Unit(Generic[_Given]):
    """What is to be written once."""

    def __init__(
        self, database: Database, name: str, action: Callable[[], _Given], *, sweep: Callable[[], None]
    ) -> None:
        self._database = database
        self._name = name
        self._action = action
        self._sweep = sweep
        self._mark = f"{_stamp(time.time())} {uuid.uuid4().hex}"
        self._given: list[_Given] = []
        """What the action gave, as soon as it may have been written."""

    def once(self) -> _Given:
        """Write it, unless that was done before."""
        # It is ordered: the try before this one has ended, whatever came of it, when this one may begin.
        with self._database.transaction():
            if self._given and self._database.rows("meta", name=self._name) == [(self._mark,)]:
                return self._given[-1]
            given = self._action()
            self._sweep()
            self._database.write("put_unit", name=self._name, value=self._mark)
            self._given.append(given)
        return given


def _stamp(seconds: float) -> str:
    """A time as a text that comes in the order of times [s]."""
    return f"{seconds:012.0f}"


class Patient(Protocol):
    """Who works with a store."""

    @property
    def patience(self) -> Patience:
        """How it bears that the store is away."""


_Method = TypeVar("_Method", bound=Callable[..., Any])


def reading(method: _Method) -> _Method:
    """Let a method of a `Patient` that changes nothing be called again where the store was away."""

    @functools.wraps(method)
    def patiently(self: Patient, *args: Any, **kwargs: Any) -> Any:
        if self.patience.longest <= 0:
            return method(self, *args, **kwargs)
        return self.patience.read(_again(method, self, args, kwargs))

    return cast(_Method, patiently)


def writing(method: _Method) -> _Method:
    """Let what a method of a `Patient` writes be written once, also where the store was away meanwhile."""

    @functools.wraps(method)
    def patiently(self: Patient, *args: Any, **kwargs: Any) -> Any:
        if self.patience.longest <= 0:
            return method(self, *args, **kwargs)
        return self.patience.write(_again(method, self, args, kwargs))

    return cast(_Method, patiently)


def _again(method: Callable[..., _Given], self: Any, args: Any, kwargs: Any) -> Callable[[], _Given]:
    """A call that can be made several times: what an iterator gives is kept."""
    named = {name: _kept(given) for name, given in kwargs.items()}
    return functools.partial(method, self, *map(_kept, args), **named)


def _kept(given: Any) -> Any:
    if isinstance(given, Mapping):
        return {name: _kept(each) for name, each in given.items()}
    return list(given) if isinstance(given, Iterator) else given
