"""Works in buckets, the agents that perform them, and the server, as configured."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from daskflow.model.quantities import Bytes, Seconds
from daskflow.settings.sites import Lines


class WorkSettings(BaseModel):
    """Works, and the agents that perform them."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    store: str = ""
    """Where works are kept: as `store`, or the address of a server, `https://...`; empty: in `store` itself."""
    token: SecretStr | None = None
    """Lets us in at a server; best by the variable `DASKFLOW_WORKS__TOKEN`. Empty: that of `DASKFLOW_TOKEN`."""
    authorities: Path | None = None
    """File of certificates of authorities that are trusted at a server, in PEM form; None: those of this machine."""
    sites: Lines = ()
    """Sites that works may ask for besides those under `sites`: agents there serve them by themselves. `*`: any."""
    functions: Lines = ()
    """Functions that agents import where a work names them: `package.module.function`, or `package.*` for all in it.
    One that is named on the command line of an agent need not be here."""
    commands: Lines = ()
    """Programs that agents start where a work names them: `convert`, `/opt/bin/*`; `*` for any, and for lines of the
    shell. One that is named on the command line of an agent need not be here."""
    pipeline: str = Field(default="", max_length=128, pattern="^[a-z0-9-]*$")
    """Bucket of the jobs that flows place in buckets; empty: one for each task, named after it."""
    archive: str = ""
    """Where products and plots go when a work has succeeded: a directory; `artifacts` for the artifact store; empty:
    they are left where they are."""
    links: str = Field(default="", pattern="^(https?://[^|<>]*)?$")
    """Under this address files of the archive are seen in a browser: messages on Slack lead to products and plots
    there, by their whole paths; empty: nowhere."""
    lease: Seconds = Field(default=60.0, ge=1, le=86400)
    """An agent that is not heard of for so long has lost its work [s]."""


class ServerSettings(BaseModel):
    """The server of `daskflow serve`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    host: str = "127.0.0.1"
    """Address that it listens at; others than those of this machine itself need `certificate` and tokens."""
    port: int = Field(default=8790, ge=0, le=65535)
    """Port that it listens at; 0: any that is free."""
    certificate: Path | None = None
    """File of its TLS certificate, in PEM form, with those of the authorities in between."""
    private_key: Path | None = None
    """File of the key of the certificate."""
    open: bool = False
    """Whether callers on this machine need no token."""
    request_limit: Bytes = Field(default=32 << 20, gt=0)
    """Largest request that is read [bytes]."""
    rate: float = Field(default=200.0, gt=0)
    """How many requests a second one token may make in the mean."""
    schedules: bool = True
    """Whether it starts what the schedules of pipelines in `store` say is due."""
