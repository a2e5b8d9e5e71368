"""The command `serve`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from daskflow.errors import ExtraMissing, SettingsInvalid
from daskflow.execution.gateway.door import is_loopback
from daskflow.settings.options import Settings
from daskflow.settings.works import ServerSettings
from daskflow.views.options import ConfigOption, configured
from daskflow.views.terminal import say

HostOption = Annotated[str | None, typer.Option(help="The address that it listens at.")]
PortOption = Annotated[int | None, typer.Option(min=0, max=65535, help="The port; 0: any that is free.")]
CertificateOption = Annotated[Path | None, typer.Option(help="File of its TLS certificate.")]
KeyOption = Annotated[Path | None, typer.Option(help="File of the key of the certificate.")]
OpenOption = Annotated[bool | None, typer.Option("--open/--closed", help="Callers on this machine need no token.")]
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Listen at other addresses than those of this machine without TLS.")
]
SchedulesOption = Annotated[
    bool | None, typer.Option("--schedules/--no-schedules", help="Start what schedules of pipelines say is due.")
]
_EVERY = 30.0
"""So often it is looked at schedules at least [s]."""


def serve_command(  # noqa: PLR0913, PLR0917, typer takes each option as a parameter
    host: HostOption = None,
    port: PortOption = None,
    certificate: CertificateOption = None,
    private_key: KeyOption = None,
    open_: OpenOption = None,
    insecure: InsecureOption = False,
    schedules: SchedulesOption = None,
    config: ConfigOption = None,
) -> None:
    """Serve works, artifacts, runs and questions over HTTP, until SIGTERM or Ctrl-C."""
    settings = configured(config)
    given = {"host": host, "port": port, "certificate": certificate, "private_key": private_key}
    given |= {"open": open_, "schedules": schedules}
    changes = {name: value for name, value in given.items() if value is not None}
    server = ServerSettings.model_validate(settings.server.model_dump() | changes)
    serve(settings.model_copy(update={"server": server}), insecure=insecure)


def check_exposure(server: ServerSettings, *, insecure: bool) -> None:
    """Refuse to show tokens to a network.

    Raises
    ------
    SettingsInvalid
        Others could read what is sent, or a file is missing.
    """
    if (server.certificate is None) != (server.private_key is None):
        raise SettingsInvalid("A certificate and its private key belong together. Give both, or none.")
    for file in (server.certificate, server.private_key):
        if file is not None and not file.expanduser().is_file():
            raise SettingsInvalid(f"There is no file {file}.")
    if server.open and (insecure or not is_loopback(server.host)):
        raise SettingsInvalid(
            "An open server asks callers on this machine for no token, and whoever comes through a proxy calls from "
            "it. Leave `--open` out, or `--insecure` and other addresses than 127.0.0.1."
        )
    if not is_loopback(server.host) and server.certificate is None and not insecure:
        raise SettingsInvalid(
            f"Whoever is on the network of {server.host} could read the tokens. Give a certificate and a private key, "
            "or say `--insecure` where something else encrypts."
        )


def serve(settings: Settings, *, insecure: bool = False) -> None:
    """Serve until a signal comes.

    Parameters
    ----------
    insecure
        Whether it may listen at other addresses than those of this machine without TLS.

    Raises
    ------
    ExtraMissing
        FastAPI or uvicorn is not installed.
    SettingsInvalid
        The address cannot be listened at, or others could read what is sent.
    """
    check_exposure(settings.server, insecure=insecure)
    try:
        from daskflow.views.server.service import Service  # noqa: PLC0415, it imports FastAPI
    except ModuleNotFoundError as error:
        raise ExtraMissing(f"A server needs {error.name}. Install it: pip install 'daskflow[server]'.") from None
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    with Service(settings) as service, _ticking(settings):
        say(f"Serving {service.url}")
        service.run()


@contextmanager
def _ticking(settings: Settings) -> Iterator[None]:
    """Within the block what schedules say is due is started, where that is asked for."""
    if not settings.server.schedules:
        yield
        return
    from daskflow.execution.pipelines.clock import Clock  # noqa: PLC0415, with all that drivers of runs need
    from daskflow.settings import front, pipelines  # noqa: PLC0415, the same

    front.choose(settings)
    clock = Clock(pipelines.ticker, _EVERY)
    clock.start()
    try:
        yield
    finally:
        clock.stop()
        front.launcher.close()
