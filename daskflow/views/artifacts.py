"""The commands below `daskflow artifact`: files and directories in the artifact store, by their names."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from daskflow.artifacts.artifact import Artifact
from daskflow.artifacts.names import Named, Names
from daskflow.artifacts.owners import mark_owner
from daskflow.artifacts.staging import bring
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import Tree, is_tree
from daskflow.artifacts.uploading import Upload
from daskflow.errors import ArtifactMissing, FileMissing, NameRefused, NotFound, StoreMissing, UsageError
from daskflow.execution.insight.garbage import store_of
from daskflow.execution.project import Project
from daskflow.settings.parts import open_project
from daskflow.stores.holdings import Reference
from daskflow.views.options import ConfigOption, JsonOption, configured, reading
from daskflow.views.sweeping import gc_command
from daskflow.views.terminal import say, show_json, show_table, stdout_kept_clean
from daskflow.views.units import moment, size

_AT_ONCE = 16
_STDIN = "-"
_DIGEST = re.compile(r"[0-9a-f]{32}")
_DIGITS = 12
"""So much of a digest is shown where there is little room."""

app = typer.Typer(
    help="Keep files and directories in the artifact store, under names.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
app.command("gc")(gc_command)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name of an artifact, or a digest.")]


@app.command("put")
def put_command(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A file, a directory, or - for standard input.")],
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="By default the last part of PATH.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Upload a file or a directory; what the store has already is not sent again."""
    name = name or _name_of(path)
    source = sys.stdin.buffer if path == _STDIN else _there(path)
    project = open_project(configured(config))
    try:
        store = store_of(project)
        mark_owner(store, project.journal)
        with _asked(), stdout_kept_clean(when=as_json):
            named = Names(store).give(Upload(store, project.file_digest)(source, name))
    finally:
        project.close()
    _tell(named, as_json=as_json)


def _name_of(path: str) -> str:
    if path == _STDIN:
        raise UsageError("What comes from standard input has no name. Give one: daskflow artifact put - NAME")
    return Path(path).resolve().name


def _there(path: str) -> Path:
    if not Path(path).exists():
        raise FileMissing(f"There is no file or directory {path}. Check the path (relative to {Path.cwd()}).")
    return Path(path)


@app.command("get")
def get_command(
    name: NameArgument,
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[PATH]", help="By default the last part of NAME, in this directory; - is standard output."
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Download a file or a directory; it appears when it is whole and verified."""
    with _opened(config) as (_, store), stdout_kept_clean(when=as_json):
        named = _found(store, name)
        if str(path) == _STDIN:
            with Artifact.of(named, store).open() as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        target = path or Path()
        target = target / named.name.rpartition("/")[2] if target.is_dir() else target
        if target.exists() or target.is_symlink():
            raise UsageError(f"{target} is there already. Give another PATH, or remove it.")
        bring(store, named, target)
    _tell(named, as_json=as_json, path=str(target))


@app.command("ls")
def ls_command(
    prefix: Annotated[str, typer.Argument(metavar="[PREFIX]", help="Only names that begin so.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the names, and what is pinned."""
    with _opened(config) as (_, store):
        names = Names(store)
        pinned = {pin.digest: pin for pin in names.pinned() if pin.name.startswith(prefix)}
        found = _all(names, prefix)
    listed = [(named, "name") for named in found]
    # What is pinned and has another content by now, or no name any more.
    listed += [(pin, "pin") for digest, pin in pinned.items() if digest not in {named.digest for named in found}]
    listed.sort(key=lambda row: row[0])
    if as_json:
        show_json([{**n._asdict(), "pinned": n.digest in pinned, "named": how == "name"} for n, how in listed])
        return
    show_table(
        ["name", "kind", "size", "time", "digest", "pinned"],
        [
            [n.name if how == "name" else f"({n.name})", n.kind, size(n.size), moment(n.time), n.digest[:_DIGITS],
             "yes" if n.digest in pinned else ""]
            for n, how in listed
        ],
    )  # fmt: skip


@app.command("info")
def info_command(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one artifact: its content, and which runs and names refer to it."""
    with _opened(config) as (project, store):
        names = Names(store)
        named = _found(store, name)
        others = [other.name for other in _all(names) if other.digest == named.digest and other.name != named.name]
        pinned = named.digest in {pin.digest for pin in names.pinned()}
        present = store.exists(named.digest)
        referring = _referring(project, named.digest)
    if as_json:
        more = {"pinned": pinned, "present": present, "other_names": others}
        show_json({**named._asdict(), **more, "referring": [reference._asdict() for reference in referring]})
        return
    say(named.name, style="bold")
    say(f"digest:  {named.digest}{'' if present else '  (its bytes are not in the store)'}")
    say(f"kind:    {named.kind}", f"size:    {size(named.size)} ({named.size} bytes)")
    say(f"time:    {moment(named.time or None)}", f"source:  {named.source}", f"pinned:  {'yes' if pinned else 'no'}")
    if others:
        say(f"other names of the same content: {', '.join(others)}")
    if referring:
        show_table(["run", "job or value", "made"], [[r.run, r.key or r.name, moment(r.created)] for r in referring])
    else:
        say("No remembered result refers to it.")


def _referring(project: Project, digest: str) -> list[Reference]:
    try:
        return project.journal.referring(digest)
    except StoreMissing:  # nothing ran here yet
        return []


@app.command("rm")
def rm_command(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of artifacts.")],
    config: ConfigOption = None,
) -> None:
    """Take names away. The bytes go with the next `gc`, unless something else needs them."""
    with _opened(config) as (_, store):
        for name in names:
            if not Names(store).take(name):
                _name(store, name)  # which says what is wrong
            say(f"{name} is no name any more.")


@app.command("pin")
def pin_command(name: NameArgument, config: ConfigOption = None) -> None:
    """Keep the bytes that a name stands for now, whatever becomes of the name."""
    with _opened(config) as (_, store):
        named = _found(store, name)
        Names(store).pin(named)
    say(f"{named.digest} is kept. Let it go again: daskflow artifact unpin {named.digest}")


@app.command("unpin")
def unpin_command(name: NameArgument, config: ConfigOption = None) -> None:
    """Keep bytes no longer that were pinned, unless something else needs them."""
    with _opened(config) as (_, store):
        pins = {pin.digest: pin for pin in Names(store).pinned()}
        # The name may stand for something else by now.
        found = [name] if name in pins else [digest for digest, pin in pins.items() if pin.name == name]
        if not found:
            raise UsageError(f"Nothing is pinned as {name!r}. `daskflow artifact ls` shows what is.")
        for digest in found:
            Names(store).unpin(digest)
            say(f"{digest} is not pinned any more.")


@contextmanager
def _opened(config: Path | None) -> Iterator[tuple[Project, ObjectStore]]:
    with reading(config) as project, _asked():
        yield project, store_of(project)


@contextmanager
def _asked() -> Iterator[None]:
    """A text that is no name is a mistake of who gave it."""
    try:
        yield
    except NameRefused as error:
        raise UsageError(str(error)) from None


def _name(store: ObjectStore, name: str) -> Named:
    """What a name stands for; that there is none is told as of runs and works. Of bytes that are lost it is not."""
    try:
        return Names(store).find(name)
    except ArtifactMissing as error:
        raise NotFound(str(error)) from None


def _found(store: ObjectStore, ident: str) -> Named:
    """What a name or a digest stands for."""
    names = Names(store)
    if not _DIGEST.fullmatch(ident) or names.look(ident) is not None or not store.exists(ident):
        return _name(store, ident)
    if is_tree(store.read(ident, 0, 32)):
        return Named(ident, ident, Tree.get(store, ident).size, "tree")
    return Named(ident, ident, store.size(ident))


def _all(names: Names, prefix: str = "") -> list[Named]:
    """What all names stand for; many are asked for at a time, for a cloud takes its time for each."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [named for named in pool.map(names.look, names.list(prefix)) if named is not None]


def _tell(named: Named, *, as_json: bool, **more: Any) -> None:
    if as_json:
        show_json({**named._asdict(), **more})
    else:
        say(f"{more.get('path', named.name)}  {size(named.size)}  {named.digest}")
