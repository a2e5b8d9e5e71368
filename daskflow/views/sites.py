"""The commands below `daskflow site`: what is configured, the job script of a pilot, and the doctor."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from pydantic_core import to_json

from daskflow.errors import UsageError
from daskflow.execution.doctor.checkup import check_site
from daskflow.execution.doctor.findings import Finding, Mark
from daskflow.settings.checkups import patient_of
from daskflow.settings.kinds import BATCH
from daskflow.settings.options import SiteSettings, built_in
from daskflow.settings.pilots import batch_of, site_of
from daskflow.settings.schema import schema
from daskflow.sites.pilots.script import pilot_script
from daskflow.sites.pools import Pool
from daskflow.views.exits import DONE, FAILED
from daskflow.views.options import ConfigOption, JsonOption, configured
from daskflow.views.terminal import say, show_json, show_table
from daskflow.views.units import duration, size

app = typer.Typer(
    name="site",
    help="The places that compute: what is configured, and what is wrong.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_SCHEDULER = "tls://DRIVER:PORT"
_STYLES = {Mark.ok: "green", Mark.warning: "yellow", Mark.broken: "bold red", Mark.skipped: "dim"}
SiteArgument = Annotated[str, typer.Argument(metavar="SITE", help="Name of a site in the configuration.")]


@app.command("ls")
def ls_command(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the sites, and the pools of those that have some."""
    settings = configured(config)
    sites = built_in() | settings.sites
    rows = [_row(name, site, default=name == settings.site) for name, site in sites.items()]
    if as_json:
        show_json(rows)
        return
    show_table(
        ["site", "kind", "", "workers"],
        [[row["site"], row["kind"], "default" if row["default"] else "", _workers(row)] for row in rows],
    )


def _row(name: str, site: SiteSettings, *, default: bool) -> dict[str, Any]:
    pools = site.whole_pools() if site.kind in BATCH else {}
    return {
        "site": name,
        "kind": site.kind,
        "default": default,
        "workers": site.workers,
        "address": site.address,
        "pools": {pool: {**told.model_dump(), "name": pool} for pool, told in pools.items()},
    }


def _workers(row: dict[str, Any]) -> str:
    if row["pools"]:
        return "\n".join(
            f"{name}: {pool['cores']} cores, {size(pool['memory'])}"
            f"{', {} gpus'.format(pool['gpus']) if pool['gpus'] else ''}, {duration(pool['walltime'])}"
            for name, pool in row["pools"].items()
        )
    return row["address"] or ("" if row["workers"] is None else str(row["workers"]))


@app.command("script")
def script_command(
    site: SiteArgument,
    pool: Annotated[str | None, typer.Option("--pool", help="Name of a pool; by default the first.")] = None,
    config: ConfigOption = None,
) -> None:
    """Print the job script of a pilot, exactly as it is submitted but for the address of the driver."""
    settings = configured(config)
    if site_of(site, settings).kind not in BATCH:
        raise UsageError(f"The site {site!r} has no pilots: it is of the kind {site_of(site, settings).kind!r}.")
    system, plan = batch_of(site, settings)
    chosen = _pool(site, plan.pools, pool)
    certificates = f"{plan.home}/certificates/ID" if plan.tls else ""
    address = _SCHEDULER if plan.tls else _SCHEDULER.replace("tls", "tcp")
    ask, lines = pilot_script(plan, chosen, system, scheduler=address, site=site, tls=certificates)
    sys.stdout.write(system.script(ask, lines))


def _pool(site: str, pools: tuple[Pool, ...], name: str | None) -> Pool:
    for pool in pools:
        if name in (None, pool.name):
            return pool
    raise UsageError(f"The site {site!r} has no pool {name!r}; there are {', '.join(pool.name for pool in pools)}.")


@app.command("schema")
def schema_command() -> None:
    """Print the JSON schema of the configuration, for editors."""
    sys.stdout.write(to_json(schema(), indent=2).decode() + "\n")


@app.command("check")
def check_command(
    site: SiteArgument,
    wait: Annotated[float, typer.Option("--wait", help="So long the probe may wait in its queue [s].")] = 120.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for what keeps a site from computing; each line is ok, or says what to do.

    The exit code is 1 where something is broken.
    """
    patient = patient_of(site, configured(config))
    findings = []
    for finding in check_site(patient, wait):
        findings.append(finding)
        if not as_json:
            _tell(finding)
    broken = [finding for finding in findings if finding.mark is Mark.broken]
    if as_json:
        show_json({"site": site, "ok": not broken, "checks": [finding._asdict() for finding in findings]})
    elif broken:
        say(f"{len(broken)} of {len(findings)} checks found what is broken at {site}.", style="bold red")
    else:
        say(f"{site} is ready.", style="green")
    raise typer.Exit(FAILED if broken else DONE)


def _tell(finding: Finding) -> None:
    say(f"{finding.mark:8} {finding.check}: {finding.text}", style=_STYLES[finding.mark])
    if finding.cure:
        say(f"{'':8} → {finding.cure}")
