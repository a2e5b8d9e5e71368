"""Clients that works share, so that each of them need not open connections of its own."""

from __future__ import annotations

from typing import Any, Self

from daskflow.compat.chime.buckets import Buckets
from daskflow.compat.chime.results import Results


class HTTPContext:
    """Clients of buckets and results: pass it as `http=` to works and what they do.

    Parameters
    ----------
    timeout, token
        Those of `Buckets`.
    base_url
        Where the works are, as `Buckets` take it; None: as daskflow is configured.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from daskflow.compat.chime import Work
    >>> with TemporaryDirectory() as place, HTTPContext(base_url=f"{place}/works.db") as http:
    ...     work = Work(pipeline="sample", site="local", user="ada", function="math.sqrt", token="of-ada")
    ...     work.deposit(http=http)
    True
    """

    def __init__(self, timeout: float = 15.0, token: Any = None, base_url: Any = None) -> None:
        self.buckets = Buckets(base_url, token=token, timeout=timeout)
        """The client of buckets."""
        self.results = Results(self.buckets)
        """The client of results, by the same connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give connections back; what is asked next opens them again."""
        self.buckets.close()
