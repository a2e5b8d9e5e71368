"""Works that deposit, withdraw, update and delete themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar

from pydantic import PrivateAttr, SecretStr

import daskflow
from daskflow.compat.chime.buckets import Buckets
from daskflow.compat.chime.fields import modern, tell
from daskflow.compat.chime.patience import patiently
from daskflow.compat.chime.variables import completed, token
from daskflow.errors import WorkInvalid

_T = TypeVar("_T")


class InvalidWork(WorkInvalid, ValueError):
    """A work does not fit. Look at the fields of `Work` and their ranges."""


class Work(daskflow.Work):
    """A unit of work, which finds its way to the buckets and back by itself.

    The fields are those of `daskflow.Work`; `path`, `precursors`, `archive` and `workspace` of older versions are
    accepted with a warning that says what becomes of them. A new work without a token warns too. What is not given may
    be said by variables, `WORKFLOW_SITE`, or files in `/run/secrets`.

    Parameters
    ----------
    http
        `Buckets`, or an `HTTPContext`, that this work uses, whatever it does; None: new ones each time.

    Raises
    ------
    InvalidWork
        A field does not fit; it is a `ValueError` too.

    Notes
    -----
    All that goes to buckets takes the keywords of `Buckets`: `base_url`, `token`, `timeout` ..., or `http`. A work
    remembers those by which it was deposited or withdrawn.

    Examples
    --------
    >>> work = Work(
    ...     pipeline="sample-pipeline",
    ...     site="local",
    ...     user="ada",
    ...     function="daskflow.compat.chime.examples.function.math",
    ...     parameters={"alpha": 1, "beta": 2},
    ...     token="of-ada",
    ... )
    >>> work.tag, work.group = ["test"], ["people"]
    >>> work.payload["tags"], "token" in work.payload
    (['test'], False)
    """

    _options: dict[str, Any] = PrivateAttr(default_factory=dict)
    """Keywords of the buckets that it came from or went to."""

    def __init__(self, /, http: Any = None, **fields: Any) -> None:
        try:
            super().__init__(**modern(completed(fields)))
        except WorkInvalid as error:
            raise InvalidWork(str(error)) from None
        if http is not None:
            self._options = {"http": http}
        if self.token is None and "token" not in fields and (secret := token()):
            self.__dict__["token"] = SecretStr(secret)
        if self.token is None and self.id is None:
            tell(
                "workflow token required after v4.0.0. A server of daskflow asks for one as well: set DASKFLOW_TOKEN "
                "or WORKFLOW_TOKEN, or pass token=..."
            )

    def __setattr__(self, name: str, value: Any) -> None:
        try:
            super().__setattr__(name, value)
        except WorkInvalid as error:
            raise InvalidWork(str(error)) from None

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        private = state.get("__pydantic_private__") or {}
        # Neither a token nor a connection travels.
        kept = {name: value for name, value in self._options.items() if name not in ("token", "http")}
        return {**state, "__pydantic_private__": {**private, "_options": kept}}

    @classmethod
    def withdraw(  # noqa: PLR0913, PLR0917, the signature that users know
        cls,
        pipeline: str | list[str],
        event: int | list[int] | None = None,
        site: str | None = None,
        priority: int | None = None,
        user: str | None = None,
        tags: str | list[str] | None = None,
        parent: str | list[str] | None = None,
        **kwargs: Any,
    ) -> Self | None:
        """Take the queued work of the highest priority, of these the oldest; None where there is none."""
        # Not tried again by itself: a work that was taken by a call whose answer got lost would be held by nobody.
        payload = _ask(kwargs, lambda buckets: buckets.withdraw(pipeline, event, site, priority, user, tags, parent))
        if payload is None:
            return None
        work = cls.from_dict(payload)
        work._options = kwargs
        return work

    def deposit(self, return_ids: bool = False, **kwargs: Any) -> bool | list[str]:
        """Queue it, and note its id; tried again for half a minute where the buckets do not answer.

        Returns
        -------
        bool or list of str
            True, or with `return_ids` its id in a list.

        Raises
        ------
        WorkInvalid
            It was deposited before: to change it, update it.
        """
        ids = self._try(kwargs, lambda buckets: buckets.buckets.deposit(self))
        return ids if return_ids else True

    def update(self, **kwargs: Any) -> bool:
        """Write it anew; tried again as `deposit` is.

        Returns
        -------
        bool
            True; what cannot be written is an error.

        Raises
        ------
        WorkLost
            Another agent has it now, or it was deleted.
        WorkLocked
        """
        self._try(kwargs, lambda buckets: buckets.buckets.update(self))
        return True

    def delete(self, **kwargs: Any) -> bool:
        """Delete it from its bucket; whether it was there. Tried again as `deposit` is.

        Raises
        ------
        WorkLocked
        """
        return self._try(kwargs, lambda buckets: buckets.buckets.delete(self)) > 0

    def _try(self, kwargs: dict[str, Any], act: Callable[[Buckets], _T]) -> _T:
        # A token that was meant for one place is not sent to another.
        elsewhere = not kwargs.keys().isdisjoint(("base_url", "http"))
        options = kwargs if elsewhere else {**self._options, **kwargs}
        own = None if "token" not in self.model_fields_set or self.token is None else self.token.get_secret_value()
        done = patiently(lambda: _ask({"token": own, **options}, act))
        self._options = options
        return done


def _ask(options: dict[str, Any], act: Callable[[Buckets], _T]) -> _T:
    """Do something with buckets that are given, or with new ones."""
    rest = dict(options)
    http = rest.pop("http", None)
    for client in (http, getattr(http, "buckets", None)):
        if isinstance(client, Buckets):
            return act(client)
    if http is not None:
        tell(f"http={type(http).__name__} is not used: pass Buckets or an HTTPContext of daskflow.compat.chime")
    with Buckets(**rest) as buckets:
        return act(buckets)
