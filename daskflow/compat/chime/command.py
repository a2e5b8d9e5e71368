"""The command `workflow` of CHIME/FRB Workflow, as commands of daskflow: `python -m daskflow.compat.chime run ...`."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from daskflow.compat.chime.fields import tell

_ELSEWHERE = {
    "configs": "`daskflow pipeline check FILE`, `run FILE`, `ls`, `show`, `cancel`",
    "pipelines": "`daskflow pipeline ls` and `show`",
    "schedules": "`daskflow pipeline schedule FILE`, `schedules`, `pause`, `unschedule`",
    "workspace": "`daskflow.yaml` in the working directory",
    "transfer": "nothing: results stay in their buckets, where they are found",
}
"""Commands that are others here, or none."""
_UNUSED = {
    "workspace": "sites and stores are those of daskflow.yaml",
    "log_level": "what a work prints and logs is in its log",
    "loki_url": "what a work prints and logs is in its log",
    "products_url": "say `works: links:` in daskflow.yaml",
}
"""Options that mean nothing here, and what to do instead."""


def main(arguments: Sequence[str]) -> None:
    """Become the command of daskflow that does what was asked of `workflow`."""
    command = [sys.executable, "-m", "daskflow", *translated(arguments)]
    sys.stdout.flush()
    sys.stderr.flush()
    # In its place, so that signals reach the agent itself.
    os.execv(sys.executable, command)


def translated(arguments: Sequence[str]) -> list[str]:
    """The arguments of `daskflow` for those of `workflow`.

    Raises
    ------
    SystemExit
        There is no such command, or no such option; what to do instead is on standard error.

    Examples
    --------
    >>> " ".join(translated(["run", "sample", "pkg.fit", "--site=chime", "--lifetime=2", "-s", "5", "-b", "http://h"]))
    'work run sample pkg.fit --site chime --lives 2 --idle 10 --sleep 5 --url http://h'
    """
    parser = argparse.ArgumentParser("workflow", allow_abbrev=False, description="CHIME/FRB Workflow, by daskflow.")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_run(commands.add_parser("run", allow_abbrev=False))
    _add_audit(commands.add_parser("audit", allow_abbrev=False))
    _add_buckets(commands.add_parser("buckets", allow_abbrev=False))
    _add_results(commands.add_parser("results", allow_abbrev=False))
    for name in _ELSEWHERE:
        commands.add_parser(name, add_help=False)
    given, rest = parser.parse_known_args(arguments)
    if given.command in _ELSEWHERE:
        parser.error(f"{given.command} is elsewhere: {_ELSEWHERE[given.command]}.")
    unknown = [word for word in rest if word.startswith("-")]
    if given.command == "run" and not unknown:
        given.buckets += rest  # options may stand between them
    elif rest:
        kind, word = ("option", unknown[0]) if unknown else ("argument", rest[0])
        parser.error(f"there is no {kind} {word!r} of {given.command}. `--help` lists all.")
    for name, instead in _UNUSED.items():
        if getattr(given, name, None):
            tell(f"--{name.replace('_', '-')} is not used: {instead}")
    act: Callable[[argparse.Namespace], list[str]] = given.act
    return act(given)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(act=_run)
    parser.add_argument("buckets", nargs="+", help="Buckets; then, as package.module.name, what performs all.")
    # The same letter was the pause in older versions, and is the site in newer ones.
    parser.add_argument("-s", dest="short", action="append", default=[], help="The site; or a pause, if a number [s].")
    parser.add_argument("--site")
    parser.add_argument("--sleep", "--sleep-time", dest="sleep")
    parser.add_argument("-l", "--lives", "--lifetime", dest="lives", type=int, default=-1)
    parser.add_argument("-f", "--function")
    parser.add_argument("-c", "--command", dest="line")
    parser.add_argument("-b", "--base-url", dest="url")
    parser.add_argument("--argsource", choices=("parameters", "work"))
    parser.add_argument("-w", "--workspace")
    for name in ("--log-level", "--loki-url", "--products-url"):
        parser.add_argument(name)
    _add_marks(parser)


def _add_marks(parser: argparse.ArgumentParser) -> None:
    for letter, name in (("-e", "--event"), ("-t", "--tag"), ("-p", "--parent")):
        parser.add_argument(letter, name, action="append", default=[])


def _run(given: argparse.Namespace) -> list[str]:
    pauses = [text for text in given.short if _seconds(text) is not None]
    sites = [text for text in given.short if text not in pauses]
    site, sleep = given.site or next(iter(sites), None), given.sleep or next(iter(pauses), None)
    if not site:
        raise SystemExit("workflow run: say for which site: --site NAME")
    pause = 30.0 if sleep is None else _seconds(sleep)
    if pause is None:
        raise SystemExit(f"workflow run: {sleep!r} is no time in seconds: give a number, as in --sleep 30")
    found = ["work", "run", *given.buckets, "--site", site]
    found += _options(given, {"function": "function", "line": "command", "argsource": "argsource"})
    if given.lives >= 0:
        # An empty bucket used up a life there, and none here: it ends all the same.
        found += ["--lives", str(given.lives), "--idle", f"{max(1, given.lives) * pause:g}"]
    found += ["--sleep", sleep] if sleep is not None else []
    return [*found, *_options(given, {"url": "url"}), *_marks(given)]


def _seconds(text: str) -> float | None:
    """A time, if a text is one.

    Examples
    --------
    >>> _seconds("1e3"), _seconds("chime"), _seconds("nan")
    (1000.0, None, None)
    """
    try:
        found = float(text)
    except ValueError:
        return None
    return found if 0 <= found < math.inf else None


def _add_audit(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(act=lambda given: ["work", "audit", *(["--json"] if given.once else ["--every", given.sleep])])
    parser.add_argument("-s", "--sleep", default="5")
    parser.add_argument("--test-mode", dest="once", action="store_true")
    parser.add_argument("-w", "--workspace")


def _add_buckets(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True)
    rm = commands.add_parser("rm", allow_abbrev=False)
    rm.set_defaults(act=_rm)
    rm.add_argument("bucket")
    rm.add_argument("-s", "--status")
    rm.add_argument("-f", "--force", action="store_true")
    rm.add_argument("-l", "--limit", default="100")
    _add_marks(rm)
    ls = commands.add_parser("ls", allow_abbrev=False)
    ls.set_defaults(act=lambda given: ["work", "status"])
    ls.add_argument("-d", "--details", action="store_true")
    ps = commands.add_parser("ps", allow_abbrev=False)
    ps.set_defaults(act=lambda given: ["work", "view", given.bucket, "--json", "--limit", given.count])
    ps.add_argument("bucket")
    ps.add_argument("-c", "--count", default="1")


def _rm(given: argparse.Namespace) -> list[str]:
    options = _options(given, {"status": "status", "limit": "limit"})
    return ["work", "rm", given.bucket, *options, *_marks(given), *(["--force"] if given.force else [])]


def _add_results(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True)
    count = commands.add_parser("count", allow_abbrev=False)
    count.set_defaults(act=lambda given: ["work", "status", given.pipeline])
    count.add_argument("pipeline")
    view = commands.add_parser("view", allow_abbrev=False)
    view.set_defaults(act=_view)
    view.add_argument("pipeline")
    view.add_argument("--status", action="append", default=[])
    view.add_argument("--event", action="append", default=[])
    view.add_argument("--tags", dest="tag", action="append", default=[])
    view.add_argument("--limit", default="10")
    view.add_argument("--skip", default="0")
    view.add_argument("--details", action="store_true")
    view.add_argument("--json", action="store_true")
    view.set_defaults(parent=[])


def _view(given: argparse.Namespace) -> list[str]:
    found = ["work", "view", given.pipeline, *_options(given, {"limit": "limit", "skip": "skip"}), *_marks(given)]
    for status in given.status or ("success", "failure"):
        found += ["--status", status]
    return [*found, *(["--json"] if given.json or given.details else [])]


def _options(given: argparse.Namespace, names: dict[str, str]) -> list[str]:
    """Options that have a value, by the names that daskflow has for them."""
    values: dict[str, Any] = {name: getattr(given, place) for place, name in names.items()}
    return [word for name, value in values.items() if value is not None for word in (f"--{name}", str(value))]


def _marks(given: argparse.Namespace) -> list[str]:
    return [
        word for name in ("event", "tag", "parent") for value in getattr(given, name) for word in (f"--{name}", value)
    ]
