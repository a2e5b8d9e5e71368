"""The errors of the PROMINENCE client, by their own names.

::

    ProminenceError                     something was asked that could not be done
    ├── JobCreationError                a job does not fit, or cannot be started
    ├── WorkflowCreationError           the same, of a workflow
    ├── JobGetError                     there is no such job, or it has no such file
    ├── WorkflowGetError                there is no such workflow
    ├── DeletionError                   something cannot be deleted or removed
    ├── FileUploadError                 a file cannot be brought into the object store
    ├── StdStreamsError                 there is no such output stream
    ├── ExecError                       commands cannot be run beside a job
    ├── SnapshotCreateError             no snapshot can be made
    ├── SnapshotGetError                there is no snapshot
    ├── UsageError                      the accounting of a service that there is not
    ├── KeyValueError                   a value cannot be kept
    │   └── NoSuchKey                   nobody gave a value of that name
    ├── ConnectionError                 where jobs are kept cannot be reached
    └── AuthenticationFailure           somebody does not let us in; the following are of a server with accounts:
        ├── ClientRegistrationError
        ├── ClientCredentialsError
        └── TokenError
            └── TokenExpiredError
"""

from __future__ import annotations

from daskflow.errors import DaskflowError


class ProminenceError(DaskflowError):
    """What was asked of a PROMINENCE job could not be done."""


class JobCreationError(ProminenceError):
    """The job does not fit, or it cannot be started. Nothing runs."""


class WorkflowCreationError(ProminenceError):
    """The workflow does not fit, or it cannot be started. Nothing runs."""


class JobGetError(ProminenceError):
    """There is no such job here. Look where it was created: each store has its own."""


class WorkflowGetError(ProminenceError):
    """There is no such workflow here. Look where it was created: each store has its own."""


class DeletionError(ProminenceError):
    """It cannot be deleted, or not be removed. Wait for its end, or delete it first."""


class FileUploadError(ProminenceError):
    """The file cannot be brought into the object store. Look whether it is there, and whether the store is."""


class StdStreamsError(ProminenceError):
    """There is no such output. Jobs have one standard output, that of the node where their commands start."""


class ExecError(ProminenceError):
    """No command can be run beside a job. Add a task of the type `sidecar` that does what is wanted."""


class SnapshotCreateError(ProminenceError):
    """No snapshot can be made of what a running job has written. Name what is wanted in `output_files`."""


class SnapshotGetError(ProminenceError):
    """There is no snapshot. Name what is wanted in `output_files`, and wait for the end of the job."""


class UsageError(ProminenceError):
    """Nobody counts what users have used here. `daskflow runs` and `daskflow show RUN` tell of each run."""


class KeyValueError(ProminenceError):
    """The value cannot be kept. Look at its name."""


class NoSuchKey(KeyValueError):
    """Nobody gave a value of that name."""


class ConnectionError(ProminenceError):
    """Where jobs are kept cannot be reached. Look at the configuration, and whether the object store is up."""

    transient = True


class AuthenticationFailure(ProminenceError):
    """Somebody does not let us in."""


class ClientRegistrationError(AuthenticationFailure):
    """The client is not registered."""


class ClientCredentialsError(AuthenticationFailure):
    """The credentials of the client are no good."""


class TokenError(AuthenticationFailure):
    """There is no token."""


class TokenExpiredError(TokenError):
    """The token is too old."""
