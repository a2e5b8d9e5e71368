"""The command `daskflow work run`: an agent in this process, or agents as batch jobs of a site."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic_core import to_json

from daskflow.errors import ArgumentsInvalid, ServerError, StoreError, TargetInvalid
from daskflow.execution.agents.agent import Agent
from daskflow.execution.agents.settling import NOT_GIVEN_BACK, NOT_WRITTEN, Told
from daskflow.execution.agents.stopping import stoppable
from daskflow.execution.agents.terms import Terms
from daskflow.model.work import Work
from daskflow.settings.agents import agent_of
from daskflow.settings.buckets import buckets_of, check_site
from daskflow.settings.options import Settings
from daskflow.stores.buckets.shelf import Wanted
from daskflow.views.exits import FAILED
from daskflow.views.options import ConfigOption, JsonOption, configured
from daskflow.views.terminal import say

UrlOption = Annotated[str | None, typer.Option("--url", help="Where the works are, in place of `works: store`.")]
_QUIET = ("begun",)
_UNKNOWN = (NOT_WRITTEN, NOT_GIVEN_BACK)
"""Ends that only this agent knows, and why."""


class ArgSource(StrEnum):
    """What functions are called with."""

    parameters = "parameters"
    work = "work"


def run_command(  # noqa: PLR0913, each is an option
    buckets: Annotated[
        list[str],
        typer.Argument(
            metavar="BUCKET... [FUNCTION]", help="Buckets; then, as package.module.name, what performs all."
        ),
    ],
    *,
    site: Annotated[str, typer.Option("--site", "-s", help="Only works of this site, a configured one.")],
    tag: Annotated[list[str] | None, typer.Option("--tag", "-t", help="Only works with one of these tags.")] = None,
    event: Annotated[
        list[int] | None, typer.Option("--event", "-e", help="Only works with one of these events.")
    ] = None,
    parent: Annotated[list[str] | None, typer.Option("--parent", "-p", help="Only works of these runs.")] = None,
    user: Annotated[str, typer.Option("--user", help="Only works of this user.")] = "",
    priority: Annotated[int | None, typer.Option("--priority", min=1, max=5, help="Only of this priority.")] = None,
    function: Annotated[str, typer.Option("--function", "-f", help="Performs all works, whatever they name.")] = "",
    command: Annotated[str, typer.Option("--command", "-c", help="The same, as a line for the shell.")] = "",
    lives: Annotated[int, typer.Option("--lives", "-l", min=-1, help="So many works; -1: any number.")] = -1,
    sleep: Annotated[float, typer.Option("--sleep", min=0.05, max=300, help="Looks at least so often [s].")] = 30.0,
    idle: Annotated[float | None, typer.Option("--idle", min=0, help="Ends after so long without works [s].")] = None,
    grace: Annotated[
        float | None, typer.Option("--grace", min=0, help="When stopped, works in hand have so long [s].")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="So many works at a time.")] = 1,
    pilots: Annotated[int | None, typer.Option("--pilots", min=1, help="So many agents, as batch jobs there.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="With --pilots: stay, and replace agents that die.")] = False,
    pool: Annotated[str | None, typer.Option("--pool", help="With --pilots: the pool of the site.")] = None,
    walltime: Annotated[str | None, typer.Option("--walltime", help="With --pilots: '2 h'.")] = None,
    cores: Annotated[int | None, typer.Option("--cores", min=1, help="With --pilots: of each agent.")] = None,
    memory: Annotated[str | None, typer.Option("--memory", help="With --pilots: '4 GiB', of each agent.")] = None,
    argsource: Annotated[
        ArgSource, typer.Option("--argsource", help="Functions get the parameters, or the whole work.")
    ] = ArgSource.parameters,
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Perform the works of buckets.

    Ends when it is stopped, or as --lives and --idle say. The first Ctrl-C or SIGTERM lets it finish what it has in
    hand; another one gives that back at once.
    """
    names, function = _divided(buckets, function)
    if function and command:
        raise ArgumentsInvalid("A function and a command cannot both perform works. Say one of them.")
    wanted = Wanted(names, site, user, tuple(event or ()), tuple(tag or ()), tuple(parent or ()), priority)
    terms = Terms(
        wanted,
        function,
        (command,) if command else (),
        argsource.value,
        lives=lives,
        idle=idle,
        sleep=sleep,
        workers=workers,
        grace=grace,
    )
    settings = configured_works(config, url)
    if doubt := check_site(settings, site):
        say(doubt, error=True)
    _warn_of_nothing(settings, terms)
    options = {"pool": pool, "walltime": walltime, "cores": cores, "memory": memory}
    _check_pilots(pilots, options, keep=keep)
    if pilots is not None:
        from daskflow.views.fleet import spawn_agents  # noqa: PLC0415, most agents are no batch jobs

        spawn_agents(settings, terms, pilots, options, config=config, as_json=as_json, keep=keep)
        return
    _serve(settings, terms, as_json=as_json)


def _check_pilots(pilots: int | None, options: dict[str, Any], *, keep: bool) -> None:
    """Refuse what is said of batch jobs where there are none.

    Raises
    ------
    ArgumentsInvalid
    """
    if pilots is not None:
        return
    if keep:
        raise ArgumentsInvalid("--keep looks after agents that are batch jobs. Say how many: --pilots N.")
    if said := [f"--{name}" for name, value in options.items() if value is not None]:
        say_of = f"{' and '.join(said)} {'is' if len(said) == 1 else 'are'}"
        raise ArgumentsInvalid(f"{say_of} for agents that are batch jobs. Say how many: --pilots N.")


def _warn_of_nothing(settings: Settings, terms: Terms) -> None:
    """Tell who starts an agent that it will refuse what works name."""
    works = settings.works
    if not (terms.function or terms.command or works.functions or works.commands):
        say(
            "This agent refuses the functions and commands that works name: it was given none, and `works: functions:` "
            "and `works: commands:` in daskflow.yaml are empty. It performs jobs that flows place in buckets.",
            error=True,
        )


def _divided(given: list[str], function: str) -> tuple[tuple[str, ...], str]:
    """Names of buckets, which have no dots, and the function."""
    last = given[-1]
    if "." not in last and ":" not in last:
        return tuple(given), function
    if len(given) == 1:
        raise ArgumentsInvalid(f"{last!r} is no name of a bucket. Write BUCKET... FUNCTION.")
    if function:
        raise ArgumentsInvalid(f"Both {last!r} and {function!r} are to perform works. Say one of them.")
    return tuple(given[:-1]), last


def configured_works(config: Path | None, url: str | None) -> Settings:
    """The configuration that the options of a command ask for."""
    settings = configured(config)
    if url is None:
        return settings
    return settings.model_copy(update={"works": settings.works.model_copy(update={"store": url})})


def _serve(settings: Settings, terms: Terms, *, as_json: bool) -> None:
    def tell(told: Told) -> None:
        if told.kind in _QUIET:
            return
        ends = told.work is not None and told.kind != "trouble"
        if as_json and told.work is not None and ends:
            show_json_line(told.kind, told.work)
        if not as_json or not ends or told.kind in _UNKNOWN:
            say(told.text, error=as_json)

    with buckets_of(settings) as buckets:
        agent = _agent(settings, buckets, terms, tell)
        try:
            with stoppable(agent, lambda text: say(text, error=True)):
                tally = agent.run()
        except (StoreError, ServerError) as error:
            say(str(error), error=True)
            raise typer.Exit(FAILED) from None
    if not as_json:
        say(", ".join(f"{count} {kind}" for kind, count in tally.items()) or "No work was performed.")


def _agent(settings: Settings, buckets: Any, terms: Terms, tell: Any) -> Agent:
    try:
        return agent_of(settings, buckets, terms, tell)
    except Exception as error:
        if not terms.function:
            raise
        raise TargetInvalid(f"{terms.function!r} cannot be imported: {type(error).__name__}: {error}") from error


def show_json_line(kind: str, work: Work) -> None:
    """Print what became of a work as one line of JSON."""
    fields = {"kind": kind, **{name: value for name, value in work.payload.items() if name not in ("log",)}}
    sys.stdout.write(to_json(fields).decode() + "\n")
    sys.stdout.flush()
