"""The chapter of requests: who asks a server again, because no answer came, is answered the same."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from daskflow.errors import WorkInvalid
from daskflow.stores.chapter import Chapter
from daskflow.stores.database import Database

KEPT = 3600.0
"""For so long an answer is kept [s]; clients ask again for half a minute."""
_TIDY = 1000
"""After so many requests those are forgotten that are older."""


class Asked(NamedTuple):
    """A request that may be repeated."""

    id: str = ""
    """By which it is known; empty: it is none that is repeated."""
    of: str = ""
    """Digest of what is asked: the same each time."""


class Requests(Chapter):
    """Answers to requests that change something, by ids that clients choose at random.

    Notes
    -----
    What a request does and the note of its answer are one transaction: either both are there, or the request was never
    made. Of two that bring the same id at the same time, one waits for the other.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._turns = itertools.count(1)

    def once(self, id: str, act: Callable[[], Any], of: str = "") -> Any:
        """Do something, or give the answer of when it was done.

        Parameters
        ----------
        id
            Empty: it is done in any case.
        act
            What it gives must be something that JSON holds.
        of
            Digest of what is asked.

        Raises
        ------
        WorkInvalid
            Something else was asked by the same id.
        """
        if not id:
            return act()
        return self.lasting(id, "", act, lambda answer: True, of)

    def lasting(self, id: str, turn: str, act: Callable[[], Any], holds: Callable[[Any], bool], of: str = "") -> Any:
        """Do something, or give the answer of when it was done if that is still good.

        Parameters
        ----------
        turn
            Tells this attempt at the request from others, for `undo`.
        act
            As of `once`; where it gives None the request is forgotten.
        holds
            Whether an earlier answer is still good.
        of
            As of `once`.

        Raises
        ------
        WorkInvalid
            Something else was asked by the same id.
        """
        if next(self._turns) % _TIDY == 0:
            self.forget()
        with self.database.transaction(ordered=False):
            ((known,),) = self.database.change("take_request", id=id, turn=turn)
            was, answer = json.loads(known) if known else (of, None)
            if was != of:
                raise WorkInvalid(
                    "Something else was asked by this id of a request. Choose a new one for each request."
                )
            if not known or not holds(answer):
                answer = act()
            if answer is None:
                self.database.change("drop_request", id=id, turn=turn)
            else:
                self.database.write("answer_request", id=id, answer=json.dumps([of, answer]))
        return answer

    def undo(self, id: str, turn: str, act: Callable[[], Any]) -> bool:
        """Take back what an attempt at a request did, unless a later attempt was answered so too.

        Returns
        -------
        bool
            Whether it was taken back.
        """
        with self.database.transaction(ordered=False):
            if not self.database.change("drop_request", id=id, turn=turn):
                return False
            act()
        return True

    def forget(self, age: float = KEPT) -> int:
        """Forget what is older [s]; returns how many there were."""
        return len(self.database.change("forget_requests", age=age))
