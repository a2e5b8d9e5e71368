"""The command `daskflow artifact gc`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from daskflow.artifacts.sweeping import GRACE
from daskflow.errors import UsageError
from daskflow.execution.insight.garbage import Collected, collect
from daskflow.model.quantities import seconds
from daskflow.views.options import ConfigOption, JsonOption, reading
from daskflow.views.terminal import say, show_json, show_table
from daskflow.views.units import moment, size

_SHOWN = 20


def gc_command(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be removed.")] = False,
    grace: Annotated[
        str, typer.Option(metavar="TIME", help="Spare what is younger. Less than a day: only while nobody writes.")
    ] = f"{GRACE / 86400:.0f} days",
    gone: Annotated[
        list[str] | None, typer.Option("--gone", metavar="ID", help="Another project that is no more; may be repeated.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove what no remembered result, no run, no name and no pin needs."""
    with reading(config) as project:
        found = collect(project, grace=_seconds(grace), gone=gone or [], dry_run=dry_run)
    if as_json:
        show_json(_fields(found, dry_run))
    else:
        _show(found, dry_run)


def _seconds(grace: str) -> float:
    try:
        return seconds(grace)
    except ValueError as error:
        raise UsageError(f"--grace: {error}.") from None


def _fields(found: Collected, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "before": found.before,
        "objects": [each._asdict() for each in found.garbage.objects],
        "size": found.garbage.size,
        "kept": found.garbage.kept,
        "kept_size": found.garbage.kept_size,
        "removed": found.removed,
        "freed": found.freed,
    }


def _show(found: Collected, dry_run: bool) -> None:
    objects = found.garbage.objects
    if objects and dry_run:
        show_table(
            ["object", "size", "time"], [[each.digest, size(each.size), moment(each.time)] for each in objects[:_SHOWN]]
        )
        if len(objects) > _SHOWN:
            say(f"and {len(objects) - _SHOWN} more: daskflow artifact gc --dry-run --json")
    if dry_run:
        say(f"{_count(len(objects))} would be removed, which frees {size(found.garbage.size)}.")
    else:
        say(f"{_count(found.removed)} removed, {size(found.freed)} freed.")
    kept = f"{_count(found.garbage.kept)} of {size(found.garbage.kept_size)} stay"
    say(f"{kept}: needed, or written after {moment(found.before)}.")


def _count(number: int) -> str:
    return "1 object" if number == 1 else f"{number} objects"
