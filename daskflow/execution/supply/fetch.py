"""Fetches files from URLs as jobs: their names are known at once, their bytes when the job has run."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from daskflow.artifacts.contents.checksums import normal_checksum
from daskflow.artifacts.fetching.downloads import Shelf, named
from daskflow.artifacts.fetching.sources import Broken, normal_url, path_of, shown
from daskflow.artifacts.fetching.transfer import CONTENT, Wanted, bring, source_of
from daskflow.artifacts.holdings import mention
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.store import known as known_store
from daskflow.errors import ArgumentsInvalid, FetchFailed, FileMissing, WorkerLost
from daskflow.execution.credentials import Credentials
from daskflow.execution.launcher import Launcher
from daskflow.execution.project import Project
from daskflow.graph.conditions import Condition
from daskflow.graph.encoding import digest
from daskflow.graph.job import Job
from daskflow.graph.part import Part
from daskflow.graph.task import Task
from daskflow.model.policy import Policy
from daskflow.model.states import JobState

_LOOK = (3.0, 5.0)
"""How long connecting, and the answer, may take when a server is only asked what it has [s]."""
_SILENCE = 30.0
"""A server that did not answer is not asked again within this time [s]: a flow may fetch many files from it."""
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Fetched:
    """A file that was fetched: what a job of `fetch` gives. May be passed wherever a path may, on every node."""

    name: str
    """The name that was chosen when the job was made."""
    digest: str
    """BLAKE3 of its bytes, 32 hexadecimal digits."""
    size: int
    """[bytes]"""
    url: str
    """Where it came from, without what lets people in."""
    store: str
    """URL of the artifact store that has its bytes."""
    etag: str = ""
    """What its server called this state of it."""

    @property
    def path(self) -> Path:
        """Where its bytes lie on this node; the last part is the name. The file is read-only.

        Raises
        ------
        ArtifactMissing
            They are not in the artifact store any more.

        Notes
        -----
        Where the store is no directory, they are brought to the node's cache when this is first asked for.
        """
        return named(store_at(self.store), self.digest, self.name, self.size)

    @property
    def filename(self) -> str:
        """The same, as text."""
        return str(self.path)

    def __fspath__(self) -> str:
        return self.filename

    def __getstate__(self) -> dict[str, Any]:
        mention(self.digest)
        return self.__dict__

    def key_text(self) -> str:
        """How the file stands in keys: as any path does, by name and content."""
        return f"file({self.name!r},{self.digest})"


class Fetch:
    """Makes jobs that fetch files; what users know as `fetch`.

    Parameters
    ----------
    launcher
        Knows the project.
    """

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._silent: dict[str, float] = {}

    def __call__(  # noqa: PLR0913, each says something else of one file
        self,
        url: str | os.PathLike[str] | Job | Part,
        auth: Credentials | None = None,
        *,
        when: Condition | None = None,
        name: str | None = None,
        checksum: str | None = None,
        site: str | None = None,
        retries: int = 3,
    ) -> Job:
        """A job that has a file in the artifact store; its value is a `Fetched`, and its `name` is known at once.

        Parameters
        ----------
        url
            `https://`, `http://`, `s3://bucket/key` or `file:///path`; or a job, or part of one, that gives such a URL.
        auth
            Credentials of somebody who may read it: `credentials("archive.example.org")`.
        when
            What must hold before it is fetched.
        name
            Name of the file; by default the last part of the URL's path.
        checksum
            What its bytes must be: `sha256:...`, `blake3:...`, `md5:...`.
        site
            Where the job runs.
        retries
            How often a transfer that broke goes on from where it was.

        Raises
        ------
        ArgumentsInvalid
            URL, name, checksum or credentials are none; the message says which.
        CredentialsMissing
            Nobody keeps the credentials.

        Notes
        -----
        Remembered by URL and ETag (or time and size), for which the server is asked at the call; one that does not
        answer then counts as having what it had. With a checksum nobody is asked. What a job gives as URL counts by
        the key of that job. A file whose server tells nothing by which changes could be seen is remembered within its
        run only.
        """
        _check(url, auth)
        project = self._launcher.project()
        known = url if isinstance(url, (Job, Part)) else normal_url(url)
        sums = normal_checksum(checksum) if checksum else ""
        state = "" if sums or not isinstance(known, str) else self._validator(project, known, auth)
        policy = Policy(
            name="fetch",
            version="1",
            cache=True if state or sums or not isinstance(known, str) else "run",
            retries=retries,
            retry_on=(WorkerLost,),
        )
        task = Task(Download(_store(project), retries), policy, self._launcher)
        chosen = name_of(url, name)
        job = task(known, chosen, state, sums, auth, when=when, site=site)
        job.terms = job.terms._replace(name=chosen)
        _heal(project, job)
        return job

    def _validator(self, project: Project, url: str, auth: Credentials | None) -> str:
        """What tells the present state of a file from others; empty where nothing does."""
        path = path_of(url)
        if path is not None:
            try:
                return CONTENT + project.file_digest(path)
            except FileMissing:  # it may be there where the job runs
                return ""
        host = urlsplit(url).netloc
        if time.monotonic() - self._silent.get(host, -_SILENCE) >= _SILENCE:
            try:
                return source_of(url, auth.reveal() if auth else None, _LOOK).look().validator
            except Broken:
                self._silent[host] = time.monotonic()
            except FetchFailed:  # the job will say so
                return ""
        known = Shelf(_store(project), url).note()
        return "" if known is None else known.validator


class Download:
    """What jobs of `fetch` perform.

    Parameters
    ----------
    store
        Where files go. It does not count for keys.
    retries
        How often a transfer that broke goes on.
    """

    def __init__(self, store: ObjectStore, retries: int) -> None:
        # Tasks take these of functions.
        self.__name__ = self.__qualname__ = "fetch"
        self._store = store
        self._retries = retries

    def __call__(self, url: Any, name: str, validator: str, checksum: str, auth: Credentials | None) -> Fetched:
        """Have a file in the store.

        Parameters
        ----------
        validator
            That of the wanted state; empty: whatever is there now.
        """
        source = normal_url(url)
        login = auth.reveal() if auth else None
        note = bring(Wanted(source, validator, checksum, login), self._store, self._retries)
        return Fetched(name, note.digest, note.size, shown(source), self._store.url, note.etag)


def name_of(url: Any, name: str | None = None) -> str:
    """The name that a fetched file gets, known before it is there.

    Parameters
    ----------
    url
        A URL, or a job or part that gives one: then the name is made of its key.
    name
        The one that was asked for.

    Raises
    ------
    ArgumentsInvalid
        The name that was asked for is no name of a file.

    Examples
    --------
    >>> name_of("https://example.org/raw/sky.fits?version=3")
    'sky.fits'
    """
    if name is not None:
        if PurePosixPath(name).name != name or name in ("", "..") or "\0" in name or len(name) > _LONGEST_NAME:
            raise ArgumentsInvalid(f"fetch(name={name!r:.300}): this is no name of a file. Leave out directories.")
        return name
    if isinstance(url, (Job, Part)):
        return f"fetched-{digest(url.key_text())[:8]}"
    parts = urlsplit(normal_url(url))
    last = PurePosixPath(unquote(parts.path).replace("\0", "")).name
    return last[-_LONGEST_NAME:] if last not in ("", ".", "..") else (parts.hostname or "fetched")


def _store(project: Project) -> ObjectStore:
    store = project.values.store
    if store is None:
        raise ArgumentsInvalid("fetch() needs an artifact store. Name one by `artifacts` in the configuration.")
    return store


def store_at(url: str) -> ObjectStore:
    """The store of that URL as this process knows it, with its credentials; else by those of the environment."""
    return known_store(url) or ObjectStore(url)


def _check(url: Any, auth: Any) -> None:
    if not isinstance(url, (str, os.PathLike, Job, Part)):
        raise ArgumentsInvalid(f"fetch() takes a URL, or a job that gives one, not {url!r:.100}.")
    if auth is not None and not isinstance(auth, Credentials):
        # Not shown: it may be a password.
        raise ArgumentsInvalid(
            f"fetch(auth=...) takes `credentials(NAME)`, not a {type(auth).__name__}: "
            "a password in a script would end up in the journal."
        )


def _heal(project: Project, job: Job) -> None:
    """See that a remembered job is done again where its file is gone, or lies elsewhere now."""
    if job.state is not JobState.created:
        return
    for stored in project.journal.values([job.key]).values():
        known = project.values.load(stored) if project.values.readable(stored) else None
        store = _store(project)
        if known is None or known.store != store.url or not store.exists(known.digest, known.size):
            project.journal.forget([job.key])
