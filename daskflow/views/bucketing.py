"""The commands below `daskflow work` that look at buckets and change what is in them."""

from __future__ import annotations

import getpass
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from daskflow.errors import ArgumentsInvalid, DaskflowError, NotFound, WorkInvalid
from daskflow.execution.agents.outcome import in_short
from daskflow.execution.target import read_pairs
from daskflow.model.quantities import seconds
from daskflow.model.work import Work, WorkStatus, bucket_name
from daskflow.settings.buckets import buckets_of
from daskflow.stores.buckets import Buckets
from daskflow.views.exits import DONE, FAILED
from daskflow.views.options import ConfigOption, JsonOption
from daskflow.views.serving import UrlOption, configured_works
from daskflow.views.terminal import printable, say, show_json, show_table
from daskflow.views.units import duration, moment, shortened

_ID = re.compile(r"[0-9a-f]{32}")
_BATCH = 1000
"""So many works are deleted, locked or deposited at a time."""
_STATES = ("queued", "running", "success", "failure")

IdsArgument = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of works.")]
EventOption = Annotated[list[int] | None, typer.Option("--event", "-e", help="With one of these events.")]
TagOption = Annotated[list[str] | None, typer.Option("--tag", "-t", help="With one of these tags.")]
ParentOption = Annotated[list[str] | None, typer.Option("--parent", "-p", help="Deposited by one of these runs.")]
StatusOption = Annotated[list[WorkStatus] | None, typer.Option("--status", help="With one of these.")]
QueryOption = Annotated[str | None, typer.Option("--query", help='As JSON: \'{"results.dm": {"$gt": 300}}\'.')]


def deposit_command(  # noqa: PLR0913, each is an option
    pipeline: Annotated[str | None, typer.Argument(metavar="[BUCKET]", help="Name of its pipeline.")] = None,
    *,
    site: Annotated[str, typer.Option("--site", "-s", help="Where it is to be performed.")] = "local",
    user: Annotated[str | None, typer.Option("--user", help="Whose it is; by default yours.")] = None,
    function: Annotated[str | None, typer.Option("--function", "-f", help="package.module.name")] = None,
    command: Annotated[list[str] | None, typer.Option("--command", "-c", help="A line for the shell.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter.")] = None,
    event: Annotated[list[int] | None, typer.Option("--event", "-e", help="May be repeated.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", "-t", help="May be repeated.")] = None,
    priority: Annotated[int | None, typer.Option("--priority", help="1 to 5; 5 comes first.")] = None,
    timeout: Annotated[int | None, typer.Option("--timeout", help="Of each attempt [s].")] = None,
    retries: Annotated[int | None, typer.Option("--retries", help="So many attempts.")] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="FILE", help="Payloads as JSON, one or many; `-` reads stdin.")
    ] = None,
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Deposit a work, or those of a file, and print their ids."""
    fields: dict[str, Any] = {
        "function": function,
        "command": command,
        "parameters": {name: _value(text) for name, text in read_pairs(set_ or []).items()} or None,
        "event": event,
        "tags": tag,
        "priority": priority,
        "timeout": timeout,
        "retries": retries,
    }
    fields = {name: value for name, value in fields.items() if value is not None}
    if (source is None) == (pipeline is None):
        raise ArgumentsInvalid("Name the bucket of one work, or the file of many: daskflow work deposit --from FILE")
    if source is not None and fields:
        raise ArgumentsInvalid(
            f"The file says all of its works; leave out {', '.join(f'--{name}' for name in fields)}."
        )
    if pipeline is not None:
        works = [Work(pipeline=_named(pipeline, set()), site=site, user=user or _user(), **fields)]
    else:
        works = _read(str(source))
    with buckets_of(configured_works(config, url)) as buckets:
        ids = buckets.deposit(works)
    if as_json:
        show_json(ids)
    else:
        say(*ids)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise ArgumentsInvalid("Your user has no name here. Say --user NAME.") from None


def _named(given: Any, told: set[str]) -> Any:
    """The name of a bucket as buckets have it; that it is another one is told once."""
    try:
        name = bucket_name(given) if isinstance(given, str) else given
    except ValueError as error:
        raise WorkInvalid(f"pipeline: {error}.") from None
    if name != given and given not in told:
        told.add(given)
        say(f"The bucket of {given!r} is called {name}.", error=True)
    return name


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _read(source: str) -> list[Work]:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentsInvalid(f"{source} cannot be read: {error}.") from None
    try:
        found = json.loads(text)
    except ValueError:
        # One payload on each line.
        try:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise WorkInvalid(f"{source} is no JSON: {error}.") from None
    payloads = found if isinstance(found, list) else [found]
    works, told = [], set[str]()
    for place, payload in enumerate(payloads):
        if not isinstance(payload, dict):
            raise WorkInvalid(f"Number {place + 1} in {source} is no payload of a work.")
        try:
            renamed = {"pipeline": _named(payload["pipeline"], told)} if "pipeline" in payload else {}
            works.append(Work.from_dict({**payload, **renamed}))
        except WorkInvalid as error:
            raise WorkInvalid(f"Number {place + 1} in {source}: {error}") from None
    return works


def _chosen(
    bucket: str | None,
    query: str | None,
    status: Sequence[str] | None,
    event: Sequence[int] | None,
    tag: Sequence[str] | None,
    parent: Sequence[str] | None,
) -> dict[str, Any]:
    """The query that options ask for."""
    try:
        found = json.loads(query) if query else {}
    except ValueError as error:
        raise WorkInvalid(f"--query is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise WorkInvalid("--query is a JSON dictionary: '{\"event\": 42}'.")
    if bucket is not None:
        found["pipeline"] = _named(bucket, set())
    for name, given in (("status", status), ("event", event), ("tags", tag), ("config.parent", parent)):
        if given:
            values = [str(value) if name == "status" else value for value in given]
            found[name] = values[0] if len(values) == 1 else {"$in": values}
    return found


def view_command(  # noqa: PLR0913, each is an option
    bucket: Annotated[str | None, typer.Argument(metavar="[BUCKET]", help="Only of this one.")] = None,
    *,
    query: QueryOption = None,
    status: StatusOption = None,
    event: EventOption = None,
    tag: TagOption = None,
    parent: ParentOption = None,
    sort: Annotated[str | None, typer.Option("--sort", help="A field; `-results.dm`: the largest first.")] = None,
    skip: Annotated[int, typer.Option("--skip", min=0, help="Not the first of them.")] = 0,
    limit: Annotated[int, typer.Option("--limit", min=-1, help="At most so many; -1: all.")] = 20,
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List works; those that were deposited last come first."""
    order = [(sort.lstrip("-"), -1 if sort.startswith("-") else 1)] if sort else []
    with buckets_of(configured_works(config, url)) as buckets:
        chosen = _chosen(bucket, query, status, event, tag, parent)
        works = buckets.view(chosen, sort=order, skip=skip, limit=limit)
        count = buckets.count(chosen) if not as_json else 0
    if as_json:
        show_json([work.payload for work in works])
        return
    names = ["id", "pipeline", "site", "status", "attempt", "event", "tags", "deposited", "took", "what"]
    show_table(names, [_row(work) for work in works])
    if count > len(works):
        say(f"{len(works)} of {count} works. See all: --limit -1")


def _row(work: Work) -> list[Any]:
    return [
        work.id,
        work.pipeline,
        work.site,
        str(work.status),
        f"{work.attempt - work.given_back}/{work.retries}",
        ", ".join(map(str, work.event or ())),
        ", ".join(work.tags or ()),
        moment(work.creation),
        duration(_took(work)),
        _what(work),
    ]


def _took(work: Work) -> float | None:
    return None if work.start is None or work.stop is None else work.stop - work.start


def _what(work: Work) -> str:
    if work.error:
        return in_short(work.error)[:60]
    return (work.function or " ".join(work.command or ()))[:60]


def show_command(
    id: Annotated[str, typer.Argument(metavar="ID", help="Id of a work.")],
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all of a work."""
    with buckets_of(configured_works(config, url)) as buckets:
        work = buckets.get(id)
    if work is None:
        raise NotFound(f"There is no work {id}. `daskflow work view` lists works.")
    if as_json:
        show_json(work.payload)
        return
    left_out = ("log", "error", "config", "notify", "creation", "start", "stop")
    for name, value in work.payload.items():
        if name not in left_out and value is not None:
            say(printable(f"{name + ':':12}{shortened(value) if not isinstance(value, str) else value}"))
    say(f"{'deposited:':12}{moment(work.creation)}")
    if work.start is not None:
        say(f"{'began:':12}{moment(work.start)}", f"{'took:':12}{duration(_took(work))}")
    for name, text in (("error", work.error), ("log", work.log)):
        if text:
            say(f"{name}:", *[f"  {printable(line)}" for line in text.rstrip().splitlines()])


def status_command(
    bucket: Annotated[str | None, typer.Argument(metavar="[BUCKET]", help="Only of this one.")] = None,
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell how many works of each bucket have each status."""
    with buckets_of(configured_works(config, url)) as buckets:
        found = {_named(bucket, set()): buckets.status(bucket)} if bucket is not None else buckets.statuses()
    counted = {
        name: {
            "total": sum(each.get(state, 0) for state in _STATES),
            **{state: each.get(state, 0) for state in _STATES},
        }
        for name, each in found.items()
    }
    if as_json:
        show_json(counted)
        return
    rows = [[name, *each.values()] for name, each in counted.items()]
    show_table(["bucket", "total", *_STATES], rows)


def audit_command(
    stale: Annotated[str, typer.Option("--stale", help="What waits for longer fails; `never`: nothing.")] = "7d",
    every: Annotated[str | None, typer.Option("--every", help="Again and again: '1 min'.")] = None,
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Queue again what failed and has attempts left, and let fail what nobody holds any more or waits for too long."""
    limit = None if stale == "never" else _seconds(stale, "--stale")
    pause = None if every is None else _seconds(every, "--every")
    with buckets_of(configured_works(config, url)) as buckets:
        while True:
            try:
                found = buckets.audit(limit)
            except DaskflowError as error:
                if pause is None or not error.transient:
                    raise
                say(f"{error} It is tried again.", error=True)
            else:
                _tell_audit(found, as_json=as_json)
            if pause is None:
                return
            time.sleep(pause)


def _seconds(text: str, option: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise ArgumentsInvalid(f"{option}: {error}.") from None


def _tell_audit(found: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        show_json(found)
    else:
        say(
            f"{found['failed']} that had failed are queued again, {found['expired']} were held by nobody any more, "
            f"{found['stale']} waited for too long."
        )


def rm_command(  # noqa: PLR0913, each is an option
    names: Annotated[list[str], typer.Argument(metavar="BUCKET|ID...", help="Buckets, or ids of works.")],
    *,
    status: StatusOption = None,
    event: EventOption = None,
    tag: TagOption = None,
    parent: ParentOption = None,
    limit: Annotated[int, typer.Option("--limit", "-l", min=-1, help="Of each at most so many; -1: all.")] = -1,
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask.")] = False,
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete works: by their ids, or those of buckets."""
    ids = [name for name in names if _ID.fullmatch(name)]
    told = set[str]()
    pipelines = [_named(name, told) for name in names if not _ID.fullmatch(name)]
    if ids and (status or event or tag or parent or limit >= 0):
        raise ArgumentsInvalid(
            "Ids say which works are meant; --status, --event, --tag, --parent and --limit go with buckets."
        )
    with buckets_of(configured_works(config, url)) as buckets:
        if pipelines and not force:
            _check_there(buckets, pipelines)
        for name in pipelines:
            query = _chosen(name, None, status, event, tag, parent)
            found = buckets.view(query, projection={"id": 1}, limit=limit)
            ids += [each["id"] for each in found]
        if len(ids) > 1 and not force and not _agreed(len(ids)):
            raise typer.Exit(FAILED)
        gone = sum(buckets.delete(ids[at : at + _BATCH]) for at in range(0, len(ids), _BATCH))
    _count(gone, "deleted", as_json=as_json)
    raise typer.Exit(DONE if gone or not ids else FAILED)


def _check_there(buckets: Buckets, names: Sequence[str]) -> None:
    if missing := sorted({*names} - {*buckets.pipelines()}):
        raise NotFound(f"There is no bucket and no work {missing[0]}. `daskflow work status` lists buckets.")


def _agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise ArgumentsInvalid(f"This deletes {count} works. Say --force if they are to go.")
    return bool(typer.confirm(f"Delete {count} works?"))


def lock_command(
    ids: IdsArgument, url: UrlOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Let nobody change or delete works."""
    with buckets_of(configured_works(config, url)) as buckets:
        _count(_some(buckets.lock(ids), ids), "locked", as_json=as_json)


def unlock_command(
    ids: IdsArgument, url: UrlOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Let works be changed and deleted again."""
    with buckets_of(configured_works(config, url)) as buckets:
        _count(_some(buckets.unlock(ids), ids), "unlocked", as_json=as_json)


def _some(count: int, ids: Sequence[str]) -> int:
    if not count:
        raise NotFound(f"There is no work {', '.join(ids)}. `daskflow work view` lists works.")
    return count


def _count(count: int, what: str, *, as_json: bool) -> None:
    if as_json:
        show_json({what: count})
    else:
        say(f"{count} works are {what}." if count != 1 else f"1 work is {what}.")
