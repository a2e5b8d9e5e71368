"""The agents of deployments: batch jobs of a site that are there as long as a run of a pipeline."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

from daskflow.errors import ArgumentsInvalid, DaskflowError, NotFound
from daskflow.execution.pipelines.expanding import buckets_of
from daskflow.model.pipeline import Deployment, Pipeline
from daskflow.sites.batch.services import Services

_LOG = logging.getLogger(__name__)
_AT_ONCE = 16
"""So many agents are ended at a time: each takes some seconds."""


class Quarters(NamedTuple):
    """Where agents come from."""

    services_of: Callable[[str], Services]
    """Gives the services of a site by its name."""
    variables: Mapping[str, str]
    """What the environment tells agents of the configuration."""


@contextmanager
def employed(pipeline: Pipeline, run: str, quarters: Quarters) -> Iterator[list[str]]:
    """Within the block the agents of all deployments that steps run on are there; gives their names.

    Raises
    ------
    SiteUnknown
        A deployment names a site that is not configured.
    BatchError
        The batch system does not take them.

    Notes
    -----
    They are ended with the block, however it ends. After a driver was killed they go on; who resumes the run finds
    them by their names, and starts none anew.
    """
    employers: list[tuple[Services, str]] = []
    try:
        for deployment, buckets in _homes(pipeline):
            services = quarters.services_of(deployment.site)
            for number in range(deployment.replicas):
                name = f"{run}-{deployment.name}-{number}"[-100:].lstrip(".-")
                employers.append((services, name))
                _employ(services, name, _command(deployment, buckets, run), _options(deployment, quarters.variables))
        yield [name for _, name in employers]
    finally:
        if employers:
            with ThreadPoolExecutor(min(len(employers), _AT_ONCE)) as pool:
                list(pool.map(_dismiss, *zip(*employers, strict=True)))


def _homes(pipeline: Pipeline) -> list[tuple[Deployment, list[str]]]:
    """The deployments that steps run on, with the buckets of their works."""
    found: dict[str, tuple[Deployment, list[str]]] = {}
    for step in pipeline.steps:
        home = pipeline.home_of(step)
        if home is not None:
            buckets = found.setdefault(home.name, (home, []))[1]
            buckets.extend(name for name in buckets_of(pipeline, step) if name not in buckets)
    return list(found.values())


def _command(deployment: Deployment, buckets: list[str], run: str) -> list[str]:
    # In an image Python may be elsewhere.
    program = ["daskflow"] if deployment.image else [sys.executable, "-m", "daskflow"]
    wanted = ["--site", deployment.site, "--parent", run, "--sleep", f"{deployment.sleep:g}"]
    return [*program, "work", "run", *buckets, *wanted]


def _options(deployment: Deployment, variables: Mapping[str, str]) -> dict[str, Any]:
    needs = deployment.resources
    options: dict[str, Any] = {"cores": needs.cores, "gpus": needs.gpu, "env": dict(variables)}
    if needs.ram is not None:
        options["memory"] = needs.ram
    if deployment.image:
        options["image"] = deployment.image
    return options


def _employ(services: Services, name: str, command: list[str], options: Mapping[str, Any]) -> None:
    try:
        if not services.standing(name).state.final:
            return  # from before the driver was killed
        services.prune(f"^{name.replace('.', '[.]')}$", failed=True)
    except NotFound:
        pass
    services.spawn(command, name=name, **options)


def _dismiss(services: Services, name: str) -> None:
    try:
        services.kill(name)
    except NotFound:  # it was never spawned
        return
    except (ArgumentsInvalid, DaskflowError) as error:  # the run has ended, whatever becomes of them
        _LOG.warning("the agent %s could not be ended: %s", name, error)
