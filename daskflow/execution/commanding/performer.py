"""What a worker does for a command job: brings its inputs, performs the commands, keeps what they left."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from daskflow.artifacts.artifact import Artifact
from daskflow.artifacts.progress import Shown
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.commands.containers.container import Container
from daskflow.commands.order import Done, Order, Tools
from daskflow.commands.perform import perform
from daskflow.commands.processes import Launch, Watch, kill_group
from daskflow.commands.scratch import Scratch
from daskflow.execution.commanding.asks import Asks
from daskflow.execution.commanding.attending import Attendant
from daskflow.execution.commanding.fixed import Fixed
from daskflow.execution.commanding.following import live_directory, live_paths
from daskflow.execution.commanding.keeping import keep
from daskflow.execution.commanding.placing import Placing
from daskflow.execution.commanding.result import CommandResult, Ended, Files
from daskflow.execution.commanding.staged import Staged
from daskflow.execution.commanding.station import Station
from daskflow.execution.credentials import Credentials
from daskflow.execution.worker.attempt import CURRENT_ATTEMPT, Attempt
from daskflow.execution.worker.capture import CURRENT_LOG
from daskflow.execution.worker.limits import MemoryLimit, bell
from daskflow.execution.worker.shares import Share, share_of
from daskflow.model.command import Command, InputFile
from daskflow.model.policy import Resources
from daskflow.sites.grip import CURRENT_GRIP, Grip
from daskflow.sites.processes import ProcessTree

_INLINE = 1 << 14
"""Output over this size [bytes] is kept as an artifact."""
_NOT_STARTED = 127
"""Exit code of a command that could not be started, as shells have it."""
_LOOK = 0.1
"""How often the memory of commands is looked at [s]."""
_SELDOM = 1.0
"""How often it is looked whether something is asked [s]."""
_GRACE = 1.0
"""Between SIGTERM and SIGKILL [s]."""


Wrap = Callable[[Launch, Scratch], Launch]


class Outputs(NamedTuple):
    """What is kept of what commands write."""

    files: tuple[str, ...]
    directories: tuple[str, ...]
    check: bool
    """Whether a command that fails ends the job."""


class Performer:
    """What command jobs perform on a worker.

    Parameters
    ----------
    name
        Name of the job.
    values
        Writes what failed commands left; its store is where artifacts come from and go to.
    station
        What the nodes of the site offer.
    resources
        What the job may use.
    attended
        Whether something can be asked beside its commands while they run. None of these count for keys.
    """

    keeps_limits = True

    def __init__(
        self, name: str, values: Values, station: Station, resources: Resources, *, attended: bool = False
    ) -> None:
        # Tasks take these of functions.
        self.__name__ = self.__qualname__ = name
        self._values = values
        self._station = station
        self.attended = attended
        """Whether something can be asked."""
        self._cores = resources.cores
        self._memory = resources.memory

    def __call__(
        self,
        commands: Fixed[tuple[tuple[Command, ...], Mapping[str, Credentials]]],
        input_files: Fixed[tuple[InputFile, ...]],
        outputs: Fixed[Outputs],
        image: Fixed[tuple[str, bool]],
        parameters: Mapping[str, Any],
        artifacts: Sequence[Staged],
    ) -> CommandResult:
        """Perform the commands.

        Raises
        ------
        CommandError
            They failed; where what they left is stored stands in its attribute `left`.
        JobTimeout, OutOfMemory
            They used more than they may, and nothing of them is alive any more; also with `left`.
        """
        # Where dask alone computes the job there is no attempt, and nobody to tell.
        attempt = CURRENT_ATTEMPT.get() or Attempt("", 1, "", None)
        placing = Placing(parameters, artifacts)
        keep = outputs.value
        share = self._share(attempt)
        order = Order(
            commands.value[0],
            input_files.value,
            placing.parameters,
            {**attempt.variables, **{name: secret.reveal()[1] for name, secret in commands.value[1].items()}},
            files=keep.files,
            folders=keep.directories,
            check=keep.check,
            cores=self._cores,
            memory=share.memory,
        )
        with self._tools(attempt, share, placing, *image.value) as tools:
            done = perform(order, tools)
        return self._finish(done, attempt)

    def _share(self, attempt: Attempt) -> Share:
        """The memory of an attempt: one that follows on `OutOfMemory` has more than its part of the batch job."""
        if attempt.memory is not None:
            return Share(attempt.memory, attempt.basis)
        return share_of(self._memory, self._cores)

    @contextmanager
    def _tools(self, attempt: Attempt, share: Share, placing: Placing, image: str, network: bool) -> Iterator[Tools]:
        log = CURRENT_LOG.get()
        logs = log.directory if log is not None else ""
        live = live_paths(logs, attempt.key, attempt.number) if logs and live_directory(logs) else (None, None)
        # An attempt that was killed with its driver has left its own, and had perhaps this number.
        _remove(live)
        asks = self._asks(logs, attempt) if self.attended and live[0] is not None else None
        attendant = Attendant(asks, self._wrap(image, network, placing), self._keep)
        try:
            with watching(share.memory, share.basis, attendant.look if attendant.attends else None) as watch:
                yield Tools(
                    root=self._station.scratch_root(),
                    run=attempt.run,
                    job=attempt.key,
                    attempt=attempt.number,
                    time_left=attempt.time_left,
                    stage=lambda scratch: attendant.until_the_end(placing.stage(scratch)),
                    store=self._keep,
                    take=self._take,
                    wrap=attendant.wrap,
                    watch=watch,
                    kill=kill_tree,
                    stdout=live[0],
                    stderr=live[1],
                )
        finally:
            attendant.close()
            _remove(live)

    def _asks(self, logs: str, attempt: Attempt) -> Asks | None:
        """Where this attempt is asked; None: nobody can."""
        asks = Asks(logs, attempt.run, attempt.key, attempt.number, self._values.signer)
        return asks if asks.make() else None

    def _wrap(self, image: str, network: bool, placing: Placing) -> Wrap:
        """What has commands started in containers of their images, or of that of the job; as they are without one."""

        # When the first command starts: only then it is known where the links in the scratch directory lead.
        @functools.cache
        def container(name: str) -> Container:
            return self._station.container(name, network=network, show=placing.outside)

        def wrap(launch: Launch, scratch: Scratch) -> Launch:
            own = image if launch.image is None else launch.image
            return container(own).wrap(launch, scratch) if own else launch

        return wrap

    def _keep(self, path: Path, name: str, progress: Shown = False) -> Artifact:
        return keep(self._store, path, name, progress)

    @property
    def _store(self) -> ObjectStore:
        assert self._values.store is not None  # whoever made this has looked
        return self._values.store

    def _take(self, path: Path) -> bytes | Artifact:
        if path.stat().st_size <= _INLINE:
            return path.read_bytes()
        return keep(self._store, path, path.name.rpartition(".")[2])

    def _finish(self, done: Done, attempt: Attempt) -> CommandResult:
        attempt.used = sum(ended.cpu for ended in done.commands), max((e.memory for e in done.commands), default=0)
        for ended in done.commands if attempt.key else ():
            print(f"$ {ended.text}\n{ended.end} after {ended.wall:.3g} s, {ended.cpu:.3g} s of CPU")
        # When a sidecar was killed is a matter of chance.
        own = [ended for ended in done.commands if not ended.sidecar]
        result = CommandResult(
            tuple([Ended(ended.text, _NOT_STARTED if ended.code is None else ended.code) for ended in own]),
            Files(done.outputs),
            done.stdout,
            done.stderr,
        )
        if done.failure is None:
            return result
        # It travels with the error, which has to stay small however many files there are.
        left = Values(self._store, _INLINE, key=self._values.signer).dump(result)
        done.failure.left = left  # type: ignore[attr-defined]  # of all errors; it pickles with them
        raise done.failure


def _remove(paths: Iterable[Path | None]) -> None:
    for path in paths:
        if path is not None:
            with suppress(OSError):
                path.unlink()


@contextmanager
def watching(memory: int | None, basis: str = "", beside: Callable[[], object] | None = None) -> Iterator[Watch]:
    """What waits for the commands of an attempt, and raises when they are to end.

    Parameters
    ----------
    memory, basis
        Over which they are to end [bytes], and of which that is a share.
    beside
        Called about once in a second at least.
    """
    grip = CURRENT_GRIP.get() or Grip("")
    limit = MemoryLimit(memory, basis=basis)
    trees: dict[int, ProcessTree] = {}

    def look(pids: Sequence[int]) -> None:
        grip.check()
        if beside is not None:
            beside()
        if memory is not None:
            limit.look(*[trees.setdefault(pid, ProcessTree(pid)) for pid in pids])

    grip.check()
    every = _LOOK if memory is not None else _SELDOM if beside is not None else None
    with bell(grip) as ringing:
        yield Watch(look, every=every, bell=ringing)


def kill_tree(pid: int) -> None:
    """Kill a command with all that descends from it, gently at first."""
    ProcessTree(pid).kill(_GRACE)
    kill_group(pid)
