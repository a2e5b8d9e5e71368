"""The commands below `daskflow batch`: services, which are batch jobs that people know by name."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from daskflow.errors import UsageError
from daskflow.settings.places import services_of
from daskflow.sites.batch.service import Progress, ServiceStanding, ServiceState
from daskflow.sites.batch.services import Services
from daskflow.views.exits import DONE, FAILED
from daskflow.views.options import ConfigOption, JsonOption, configured
from daskflow.views.terminal import say, show_json, show_table
from daskflow.views.units import duration, moment, size

_FOLLOW = 0.5
"""A log that is followed is looked at so often [s]."""
_LINES = 10

app = typer.Typer(
    help="Batch jobs by name, which go on when you leave: spawn them, list them, read their logs, kill them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
SiteOption = Annotated[str | None, typer.Option("--site", help="Where; by default the site of the configuration.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The whole name of a service.")]
RegexArgument = Annotated[
    str | None, typer.Argument(metavar="[REGEX]", help="Only names in which this is found, such as '^fit-'.")
]


@app.command("spawn", context_settings={"allow_interspersed_args": False})
def spawn_command(  # noqa: PLR0913, PLR0917, typer takes each option as a parameter
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND ...", help="A program with arguments, or one line for a shell.")
    ],
    site: SiteOption = None,
    name: Annotated[str | None, typer.Option("--name", help="Unlike that of any living service there.")] = None,
    count: Annotated[int | None, typer.Option("--count", min=1, help="So many, as NAME-0, NAME-1 ...")] = None,
    cores: Annotated[int, typer.Option("--cores", min=1, help="Reserved on each node.")] = 1,
    core_limit: Annotated[int | None, typer.Option("--core-limit", min=1, help="Not more can be used.")] = None,
    memory: Annotated[str | None, typer.Option("--memory", help="Reserved on each node, such as 4GiB.")] = None,
    memory_limit: Annotated[str | None, typer.Option("--memory-limit", help="Over this it is killed.")] = None,
    walltime: Annotated[str | None, typer.Option("--walltime", help="After this it is killed, such as 2h.")] = None,
    gpus: Annotated[int, typer.Option("--gpus", min=0, help="On each node.")] = 0,
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="That it spans.")] = 1,
    tasks: Annotated[int | None, typer.Option("--tasks", min=1, help="Ranks of an MPI program.")] = None,
    env: Annotated[list[str] | None, typer.Option("--env", metavar="K=V", help="A variable; K: as it is here.")] = None,
    image: Annotated[str | None, typer.Option("--image", help="Container image to run in.")] = None,
    bind: Annotated[list[str] | None, typer.Option("--bind", metavar="/A:/B[:rw]", help="Shown in the image.")] = None,
    pool: Annotated[str | None, typer.Option("--pool", help="By default the first that holds it.")] = None,
    queue: Annotated[str | None, typer.Option("--queue", help="Partition or queue, in place of the pool's.")] = None,
    workdir: Annotated[str | None, typer.Option("--workdir", help="By default this directory.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Submit a command as a batch job, and print its batch id and name."""
    given: dict[str, Any] = {
        "cores": cores,
        "core_limit": core_limit,
        "memory": memory,
        "memory_limit": memory_limit,
        "walltime": walltime,
        "gpus": gpus,
        "nodes": nodes,
        "tasks": tasks,
        "env": dict(map(_variable, env or [])),
        "image": image,
        "binds": bind or None,
        "pool": pool,
        "queue": queue,
        "workdir": workdir,
    }
    options = {key: value for key, value in given.items() if value is not None}
    services = _services(config, site)
    line = command[0] if len(command) == 1 else command
    if count is None:
        spawned = [services.spawn(line, name=name, **options)]
    else:
        spawned = services.spawn(line, name=name, count=count, **options)
    found = [service.standing() for service in spawned]
    if as_json:
        show_json([_fields(one) for one in found])
    else:
        say(*[f"{one.id}  {one.name}" for one in found])


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or (not equals and name not in os.environ):
        raise UsageError(f"{text!r} sets no variable. Write --env NAME=VALUE, or --env NAME for one that is set here.")
    return name, value if equals else os.environ[name]


@app.command("ls")
def ls_command(
    site: SiteOption = None,
    name: Annotated[str | None, typer.Option("--name", help="A regular expression that is in the names.")] = None,
    state: Annotated[list[ServiceState] | None, typer.Option("--state", help="May be repeated.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List services, with their states."""
    services = _services(config, site)
    found = services.ls(name, state or None)
    _warn(services)
    if as_json:
        show_json([_fields(one) for one in found])
        return
    show_table(
        ["name", "state", "batch id", "node", "spawned", "took", "code", "memory", "reason"],
        [_row(one) for one in found],
    )


def _fields(one: ServiceStanding) -> dict[str, Any]:
    return {**one._asdict(), "living": one.living}


def _row(one: ServiceStanding) -> list[Any]:
    took = None if one.started is None else (one.ended or time.time()) - one.started
    return [
        one.name,
        str(one.state),
        one.id,
        one.node,
        moment(one.created),
        duration(took),
        "" if one.exit_code is None else one.exit_code,
        "" if one.memory is None else size(one.memory),
        one.reason,
    ]


@app.command("logs")
def logs_command(
    name: NameArgument,
    tail: Annotated[int | None, typer.Option("--tail", min=0, help="Only so many last lines.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the service ends.")] = False,
    site: SiteOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what a service printed."""
    services = _services(config, site)
    if as_json:
        show_json({"name": name, "log": services.logs(name, tail)})
        return
    for text in services.follow(name, tail, every=_FOLLOW) if follow else [services.logs(name, tail)]:
        sys.stdout.write(text)
        sys.stdout.flush()


@app.command("kill")
def kill_command(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME ...]", help="The whole names.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Remove all that failed, with their logs.")] = False,
    site: SiteOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Kill services by their whole names, and wait until they are dead; record and log stay until they are pruned."""
    if bool(names) is failed:
        raise UsageError("Say which: daskflow batch kill NAME, or daskflow batch kill --failed")
    services = _services(config, site)
    if failed:
        _tell(services.kill_failed(), "Nothing has failed.", as_json=as_json)
        return
    # A name that is wrong is told before anything is killed.
    found = [services.get(name) for name in dict.fromkeys(names or [])]
    done = {service.name: service.kill() for service in found}
    if as_json:
        show_json(done)
    else:
        say(*[f"{name} {'was killed' if killed else 'had ended before'}." for name, killed in done.items()])


@app.command("prune")
def prune_command(
    pattern: RegexArgument = None,
    failed: Annotated[bool, typer.Option("--failed", help="Those that failed, too.")] = False,
    site: SiteOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove record and log of services that completed or were killed."""
    services = _services(config, site)
    _tell(services.prune(pattern, failed=failed), "Nothing is to be removed.", as_json=as_json)


def _tell(names: list[str], nothing: str, *, as_json: bool) -> None:
    if as_json:
        show_json(names)
    else:
        say(*[f"{name} is removed." for name in names] or [nothing])


@app.command("monitor")
def monitor_command(
    pattern: RegexArgument = None,
    logs: Annotated[bool, typer.Option("--logs", help="Print the end of the logs of those that failed.")] = False,
    site: SiteOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Wait until services have ended, and tell how many have. Exit code 0: all completed, 1: some did not."""
    services = _services(config, site)

    def tell(progress: Progress) -> None:
        if not as_json:
            say(str(progress))

    progress = services.monitor(pattern, on_progress=tell)
    _warn(services)
    bad = [one for one in services.ls(pattern) if one.state is not ServiceState.completed]
    if as_json:
        show_json({**progress._asdict(), "percent": progress.percent, "failures": [_fields(one) for one in bad]})
    for one in [] if as_json else bad:
        say(f"{one.name} {one.state}: {one.reason}", style="red")
        if logs:
            say(services.logs(one.name, _LINES).rstrip("\n"))
    raise typer.Exit(FAILED if progress.failed else DONE)


def _services(config: Path | None, site: str | None) -> Services:
    settings = configured(config, site)
    return services_of(settings.site, settings)


def _warn(services: Services) -> None:
    if services.silence is not None:
        say(f"Only what the services noted themselves is known: {services.silence}", error=True)
