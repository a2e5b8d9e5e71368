"""The errors of daskflow, one tree; catch a branch.

::

    DaskflowError
    ├── UsageError                  what was asked cannot be done; nothing ran
    │   ├── NoKey                   a value has no deterministic key
    │   ├── ArgumentsInvalid        the arguments of a flow or task do not fit
    │   ├── ForeignJob              a job of one run was used in another
    │   ├── JobCycle                jobs depend on each other in a circle
    │   ├── FileMissing             an input file is not there
    │   ├── TargetInvalid           `path.py:flow` or `module:flow` does not load
    │   ├── SettingsInvalid         the configuration does not fit
    │   ├── SiteUnknown             no site of that name is configured
    │   ├── NotInTask               something that only works inside a task
    │   ├── ConditionMisused        a condition was used as if it were true or false
    │   ├── AnswerRefused           an answer does not fit its question, or comes too late
    │   ├── ContextRefused          a value does not belong into the context
    │   ├── CredentialsMissing      nobody keeps the credentials that are asked for
    │   ├── RunBusy                 another driver performs the run
    │   ├── NotFound                no run, job or question of that name is recorded
    │   ├── FitsNowhere             no pool of a site holds what a job needs
    │   ├── ExtraMissing            an optional dependency is not installed
    │   ├── WorkInvalid             a work, or what is asked of works, does not fit
    │   └── PipelineInvalid         a pipeline or a schedule does not fit
    ├── StoreError                  what is remembered cannot be read or written
    │   ├── StoreTooNew             a newer daskflow made this store
    │   ├── StoreUnavailable        the store cannot be opened (transient)
    │   │   └── StoreMissing        nothing was recorded there yet
    │   └── StoreFull               no room is left to write (transient)
    ├── ArtifactError               bytes cannot be stored or brought back
    │   ├── ArtifactMissing         the object is not in the store
    │   ├── ArtifactDamaged         the bytes are not those of the digest
    │   ├── AccessRefused           the object store does not let us in
    │   ├── StoreSilent             the object store does not answer (transient)
    │   ├── CacheFull               no room is left on this node for a copy (transient)
    │   ├── SignatureWrong          a stranger wrote what would run code
    │   ├── NameRefused             a text is no name of an artifact or of a file
    │   ├── FetchFailed             a server does not give what its URL names (transient)
    │   └── NotSerialisable         a result has no format
    ├── SiteError                   a site does not compute (transient)
    │   ├── WorkerLost              the worker of a job went away (transient)
    │   │   ├── WalltimeExceeded    its batch job reached its walltime (transient)
    │   │   ├── NodeFailure         its node failed (transient)
    │   │   ├── Preempted           its batch job had to make room (transient)
    │   │   ├── Cancelled           somebody cancelled its batch job (transient)
    │   │   └── StartupFailed       its batch job began, and no worker came of it
    │   ├── BatchError              a batch system does not do what it should
    │   │   ├── BatchRefused        it does not take what was submitted
    │   │   ├── BatchSilent         it does not answer (transient)
    │   │   └── BatchMissing        its commands are not installed here
    │   └── InstallFailed           a package cannot be brought to a site's workers
    ├── CommandError                a command job did not do what it should
    │   ├── CommandFailed           a command ended with an exit code that is not 0
    │   ├── CommandMissing          there is no such program
    │   ├── OutputMissing           a command left no file of a name that was declared
    │   ├── PathRefused             a path leads out of the scratch directory
    │   ├── ArchiveRefused          an archive cannot be unpacked, or would write elsewhere
    │   ├── ContainerError          an image cannot be had or started
    │   ├── MountMissing            what a container is to show is not in the scratch directory
    │   └── ScratchFull             no room is left in the scratch directory (transient)
    ├── WorkError                   a work cannot be kept or performed
    │   ├── WorkLost                another agent has the work now, or it was deleted
    │   ├── WorkLocked              the work is locked
    │   ├── FunctionRefused         the agent may not import the function of a work
    │   └── AgentsLost              agents end as often as they are started
    ├── ServerError                 a server of daskflow does not do what is asked
    │   ├── ServerSilent            it does not answer (transient)
    │   ├── TokenRefused            it does not know the token, or the token does not allow this
    │   └── ServerRefused           it does not take what was sent
    └── RunError                    a run or job did not end well
        ├── JobFailed               a task raised
        ├── JobSkipped              an upstream job failed
        ├── JobCancelled            the job was cancelled
        ├── JobTimeout              the job took longer than its timeout (transient)
        ├── OutOfMemory             the job used more memory than it may (transient)
        ├── RaceLost                nobody in a race was good enough
        ├── QuestionExpired         nobody answered a question in time
        ├── CodeMismatch            a worker has other code than the driver
        ├── WorkFailed              the last attempt at the work of a job failed
        ├── InputChanged            an input file changed after the call was made
        ├── RunFailed               some jobs of a run failed
        └── RunInterrupted          the run was stopped and can be resumed
"""

from __future__ import annotations

from typing import ClassVar


class DaskflowError(Exception):
    """Something went wrong in daskflow."""

    transient: ClassVar[bool] = False
    """Whether trying the same again can help; retries ask only this."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__ or type(self).__name__)


class UsageError(DaskflowError):
    """What was asked cannot be done. Nothing ran."""


class NoKey(UsageError):
    """A value has no deterministic key. Pass plain data, or give its class a `__dask_tokenize__` method."""


class ArgumentsInvalid(UsageError):
    """The arguments do not fit the signature. Look at its parameters and their types."""


class ForeignJob(UsageError):
    """A job of one run was used in another. Call the task again in the run that needs it."""


class JobCycle(UsageError):
    """Jobs depend on each other in a circle. Break it: a job can only use what was made before it."""


class FileMissing(UsageError):
    """An input file is not there. Check the path; pass `str(path)` for the name of a file yet to be written."""


class TargetInvalid(UsageError):
    """The target does not load. Write `path/to/file.py:flow` or `package.module:flow`."""


class SettingsInvalid(UsageError):
    """The configuration does not fit. Look at the commented examples in `configs/`."""


class SiteUnknown(UsageError):
    """No site of that name is configured. Add it under `sites:` in daskflow.yaml."""


class NotInTask(UsageError):
    """This works only inside a task that a run performs. Call it from a function declared with `@task`."""


class ConditionMisused(UsageError):
    """A condition is neither true nor false yet. Combine conditions by `&`, `|` and `~`, or ask `.is_met()`."""


class AnswerRefused(UsageError):
    """An answer does not fit its question, or the question is closed. `daskflow questions` lists the open ones."""


class ContextRefused(UsageError):
    """A value does not belong into the context of the run. Look at the fields of its template."""


class CredentialsMissing(UsageError):
    """Nobody keeps the credentials that are asked for. Put them into the keyring, or into the environment."""


class RunBusy(UsageError):
    """Another driver performs the run. Wait for it, or stop it with `daskflow cancel RUN`."""


class NotFound(UsageError):
    """Nothing of that name is recorded. `daskflow runs` lists the runs, `daskflow show RUN` their jobs."""


class FitsNowhere(UsageError):
    """No pool of the site holds what the job needs. Ask for less, or add a pool to the site."""


class ExtraMissing(UsageError):
    """An optional dependency is not installed. Install the extra that the message names."""


class WorkInvalid(UsageError):
    """A work does not fit. Look at the fields of `Work` and their ranges."""


class PipelineInvalid(UsageError):
    """A pipeline or a schedule does not fit. Look at the documentation of pipelines."""


class StoreError(DaskflowError):
    """What is remembered cannot be read or written."""


class StoreTooNew(StoreError):
    """A newer daskflow made this store. Upgrade daskflow, or point `store` to another place."""


class StoreUnavailable(StoreError):
    """The store cannot be opened. Check that its directory exists and is writable, or that its server runs."""

    transient = True


class StoreMissing(StoreUnavailable):
    """Nothing was recorded there yet. Run a flow first, or point `store` to another place."""


class StoreFull(StoreError):
    """No room is left to write the journal. Free some space, then resume the run: what was recorded is good."""

    transient = True


class ArtifactError(DaskflowError):
    """Bytes cannot be stored or brought back."""


class ArtifactMissing(ArtifactError):
    """The object is not in the artifact store. Run the flow again: what it needs is made anew."""


class ArtifactDamaged(ArtifactError):
    """The bytes are not those that the digest names. Remove the object, then run the flow again."""


class AccessRefused(ArtifactError):
    """The object store does not let us in. Look at its credentials, and whether the bucket is there."""


class StoreSilent(ArtifactError):
    """The object store does not answer. Look whether it is up; what was stored is safe."""

    transient = True


class CacheFull(ArtifactError):
    """No room is left on this node for a copy of an artifact. Free some space, or give the cache another place."""

    transient = True


class SignatureWrong(ArtifactError):
    """A stored value that runs code when it is loaded was not written with your key. Run the flow again."""


class NameRefused(ArtifactError):
    """A text is no name of an artifact or of a file. Use plain words, with `/` between them."""


class FetchFailed(ArtifactError):
    """A server does not give what its URL names. Look whether the address is right and the server up."""

    transient = True


class NotSerialisable(ArtifactError):
    """A result cannot be serialised. Return plain data, arrays, tables, datasets or picklable objects."""


class SiteError(DaskflowError):
    """A site does not compute."""

    transient = True


class WorkerLost(SiteError):
    """The worker of a job went away. The job may use more memory than the worker has, or crash its process."""


class WalltimeExceeded(WorkerLost):
    """The batch job reached its walltime. Give the pool more walltime, or the job `Resources(walltime=...)`."""


class NodeFailure(WorkerLost):
    """The node failed on which the job was performed. Try again: it goes to another one."""


class Preempted(WorkerLost):
    """The batch job had to make room for another one. Try again, or use a queue that nobody preempts."""


class Cancelled(WorkerLost):
    """Somebody cancelled the batch job. Resume the run to perform what it had begun."""


class StartupFailed(WorkerLost):
    """A batch job began, but no worker came of it. Its log says why; `daskflow site check SITE` looks for the cause."""

    transient = False


class BatchError(SiteError):
    """A batch system does not do what it should."""

    transient = False


class BatchRefused(BatchError):
    """The batch system does not take what was submitted. Look at queue, account and limits of the site."""


class BatchSilent(BatchError):
    """The batch system does not answer. What it runs goes on; try again."""

    transient = True


class BatchMissing(BatchError):
    """The commands of the batch system are not installed here. Run daskflow where jobs are submitted."""


class InstallFailed(SiteError):
    """A package cannot be brought to a site's workers. Look at what the build said, or at the site's configuration."""

    transient = False


class CommandError(DaskflowError):
    """A command job did not do what it should."""


class CommandFailed(CommandError):
    """A command ended with an exit code that is not 0. Its output tells why; `job.stderr()` has all of it."""


class CommandMissing(CommandError):
    """There is no such program where the job runs. Install it there, or name an image that has it."""


class OutputMissing(CommandError):
    """The commands left no file of a name that was declared as output. Look what they wrote, and where."""


class PathRefused(CommandError):
    """A path leads out of the scratch directory. Name files relative to it, without `..`."""


class ArchiveRefused(CommandError):
    """An archive cannot be unpacked, or would write outside of its directory. Pack it anew."""


class ContainerError(CommandError):
    """An image cannot be had or started. Look at its name, and at the container runtimes of the site."""


class MountMissing(CommandError):
    """What a container is to show is not in the scratch directory. Look what the artifacts of the job bring there."""


class ScratchFull(CommandError):
    """No room is left in the scratch directory. Free some space, or name another directory by `scratch`."""

    transient = True


class WorkError(DaskflowError):
    """A work cannot be kept or performed."""


class WorkLost(WorkError):
    """Another agent has the work now, or it was deleted. What this one made of it is not kept."""


class WorkLocked(WorkError):
    """The work is locked, and can be neither changed nor deleted. Unlock it first."""


class FunctionRefused(WorkError):
    """The agent may not import the function of a work. Allow it under `works: functions:` in daskflow.yaml."""


class AgentsLost(WorkError):
    """Agents end as often as they are started, and works wait. The end of their log says why."""


class ServerError(DaskflowError):
    """A server of daskflow does not do what is asked."""


class ServerSilent(ServerError):
    """The server does not answer. Check its address, and that it runs."""

    transient = True


class TokenRefused(ServerError):
    """The server does not know the token, or the token does not allow this. Ask its administrator for one."""


class ServerRefused(ServerError):
    """The server does not take what was sent."""


class RunError(DaskflowError):
    """A run or a job did not end well."""


class JobFailed(RunError):
    """A task raised an error. Its traceback is above; `daskflow logs RUN JOB` shows what it printed."""


class JobSkipped(RunError):
    """The job did not run, because a job that it needs failed. Mend that one, then run the flow again."""


class JobCancelled(RunError):
    """The job was cancelled before it finished. Resume the run to perform it."""


class JobTimeout(RunError):
    """The job took longer than its timeout. Give it more time with `@task(timeout=...)`, or less to do."""

    transient = True


class OutOfMemory(RunError):
    """The job used more memory than it may. Give it more with `@task(resources=Resources(memory=...))`."""

    transient = True


class RaceLost(RunError):
    """Nobody in a race was good enough. Look at their results, or ask for less."""


class QuestionExpired(RunError):
    """Nobody answered a question in time. Ask with more time, or with `on_timeout="default"`."""


class CodeMismatch(RunError):
    """A worker has other code than the driver. Start the site anew, so that its workers import the same code."""


class WorkFailed(RunError):
    """The last attempt at the work of a job failed."""


class InputChanged(RunError):
    """An input file changed after the call was made. Run the flow again."""


class RunFailed(RunError):
    """Some jobs of the run failed. `daskflow show RUN` lists them."""


class RunInterrupted(RunError):
    """The run was stopped before its end. `daskflow resume RUN` goes on where it stopped."""


def error_of(name: str) -> type[DaskflowError] | None:
    """The class of a name, with or without its module; None where there is none.

    Examples
    --------
    >>> error_of("NodeFailure")
    <class 'daskflow.errors.NodeFailure'>
    """
    found = globals().get(name.rpartition(".")[2])
    return found if isinstance(found, type) and issubclass(found, DaskflowError) else None
