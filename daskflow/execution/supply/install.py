"""Brings local packages to a site's workers, as jobs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from daskflow.artifacts.holdings import mention
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArgumentsInvalid, InstallFailed, WorkerLost
from daskflow.execution.launcher import Launcher
from daskflow.execution.project import BATCH, Project
from daskflow.execution.supply.building import Recipe, build, built_version
from daskflow.execution.supply.shipping import Shipment
from daskflow.execution.supply.sources import UNKNOWN, Local, local_package
from daskflow.graph.conditions import Condition
from daskflow.graph.host import CURRENT_HOST, CURRENT_SITE
from daskflow.graph.job import Job
from daskflow.graph.task import Task
from daskflow.model.policy import Policy
from daskflow.model.states import JobState
from daskflow.sites import ClusterSite
from daskflow.sites.packages import Package, here, register, versions_here


@dataclass(frozen=True)
class Installed:
    """A package at a site: what a job of `install` gives."""

    name: str
    version: str
    digest: str
    """That of the sources it was built from."""
    site: str
    folder: str = ""
    """Where workers import it from; empty where they have it already, or each node in a directory of its own."""
    built: str = ""
    """Digest of the built package in the artifact store, where nodes unpack it for themselves."""

    def __getstate__(self) -> dict[str, Any]:
        if self.built:
            mention(self.built)
        return self.__dict__

    def key_text(self) -> str:
        """How it stands in keys: where it lies does not count."""
        return f"installed({self.name!r},{self.version!r},{self.digest})"


class Install:
    """Makes jobs that bring packages to a site; what users know as `install`.

    Parameters
    ----------
    launcher
        Knows the project.
    """

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

    def __call__(
        self,
        package: ModuleType | str | os.PathLike[str],
        site: str | None = None,
        version: str | None = None,
        *,
        when: Condition | None = None,
    ) -> Job:
        """A job that has a site's workers import a local package; its value is an `Installed`.

        Parameters
        ----------
        package
            The imported module; the path of its project, package or file; or the name of an editable package.
        site
            Where it is wanted; by default where jobs of this block run.
        version
            The version that is wanted: an error tells when the local one is another.
        when
            What must hold before it is built.

        Raises
        ------
        ArgumentsInvalid
            It is no package of the user's own, or has another version.
        InstallFailed
            It is too large to be one.

        Notes
        -----
        It is built on a worker, by pip and with what is installed there, and once for each state of its sources. From
        the end of the job on all workers of the site import it, those too that join later, or in later runs that call
        this. Jobs that need it say `when=upload.succeeded`. Sites within the driver's process import what the driver
        does. Where the configuration forbids shipping, the site must have the package in that version.
        """
        project = self._launcher.project()
        local = local_package(package)
        if version is not None and local.version not in (version, UNKNOWN):
            raise ArgumentsInvalid(
                f"install({local.name}, version={version!r}): the local package has the version {local.version}."
            )
        local = local._replace(version=version or local.version)
        where = _site_of(project, site)
        target = project.site(where)
        upload = _upload(project, local, where)
        shipping = True
        if isinstance(target, ClusterSite):
            shipping = target.packages.shipping
            if shipping:
                target.offer(upload.package)
                if project.has_site(where + BATCH):
                    beside: Any = project.site(where + BATCH)
                    beside.offer(upload.package)
        # What was brought there once is no answer to what is on offer there.
        policy = Policy(name="install", version="1" if shipping else "offer", retries=2, retry_on=(WorkerLost,))
        task = Task(upload if shipping else Comparison(local), policy, self._launcher)
        job = task(local.name, local.version, upload.package.digest, where, when=when, site=where)
        _heal(project, job, upload.package, upload.built)
        return job


class Upload:
    """What jobs of `install` perform: build the package, and have all workers import it.

    Parameters
    ----------
    package, recipe, store
        What to build, how, and from where. They do not count for keys.
    shipment
        What brings it to nodes that do not see each other's directories.
    """

    def __init__(self, package: Package, recipe: Recipe, store: ObjectStore, shipment: Shipment | None) -> None:
        # Tasks take these of functions.
        self.__name__ = self.__qualname__ = "install"
        self.package = package._replace(shipment=shipment)
        self._shipment = shipment
        self._recipe = recipe
        self._store = store

    @property
    def built(self) -> str:
        """Digest of the package in the store; empty where it is not built, or lies in a directory."""
        return "" if self._shipment is None else self._shipment.digest

    def __call__(self, name: str, version: str, digest: str, place: str) -> Installed:
        """Have a package at the site where this is performed."""
        if self.package.at_home:
            return Installed(name, version, digest, place)
        from distributed import get_client

        version, built = self._have()
        register(get_client(), [self.package])
        return Installed(name, version, digest, place, "" if built else self.package.folder, built)

    def _have(self) -> tuple[str, str]:
        """Have the package built; its version, and the digest of what was sent to the store."""
        shipment = self._shipment
        if shipment is None:
            return build(self.package, self._recipe, self._store), ""
        if not shipment.ready:
            # The package tells where it would lie on the driver's node.
            folder = self._store.folder("packages") / shipment.name
            build(self.package._replace(folder=str(folder)), self._recipe, self._store)
            shipment.send(folder)
        return built_version(self.package.at_hand()), shipment.digest


class Comparison:
    """What jobs of `install` perform where nothing may be brought: look what is on offer.

    Parameters
    ----------
    local
        The package in the driver.
    """

    def __init__(self, local: Local) -> None:
        self.__name__ = self.__qualname__ = "install"
        self._names = tuple(dict.fromkeys([local.name, local.module]))

    def __call__(self, name: str, version: str, digest: str, place: str) -> Installed:
        """See that all workers have the version that is wanted."""
        from distributed import get_client

        offers: dict[str, list[str]] = get_client().run(versions_here, self._names)
        if any(version not in found[:1] for found in offers.values()):
            versions = sorted({one for found in offers.values() for one in found})
            cure = f"Use {'one of these' if versions[1:] else 'that'} here too, or have" if versions else "Have"
            raise InstallFailed(
                f"{name} {version} is wanted, and the site {place!r} takes no packages (shipping: false). On offer "
                f"there: {', '.join(versions) or 'none'}. {cure} {version} installed there."
            )
        return Installed(name, version, digest, place)


def _site_of(project: Project, site: str | None) -> str:
    host: Any = CURRENT_HOST.get()
    return site or CURRENT_SITE.get() or getattr(host, "site", None) or project.default_site


def _upload(project: Project, local: Local, site: str) -> Upload:
    store = project.values.store
    if store is None:
        raise ArgumentsInvalid("install() needs an artifact store. Name one by `artifacts` in the configuration.")
    digest = local.digest(project.file_digest)
    name = f"{local.name}-{local.version}-{digest[:12]}"
    folder = store.folder("packages") / name
    package = Package(local.name, local.version, digest, str(folder), local.below, here())
    shipment = None if store.local else Shipment(store, project.values.signer, name, site)
    ready = package.ready if shipment is None else shipment.ready
    archive = "" if ready else store.put(local.archive())
    return Upload(package, Recipe(archive, local.module, local.inside, local.project), store, shipment)


def _heal(project: Project, job: Job, package: Package, built: str) -> None:
    """See that a remembered job is done again where what it built is gone, or lies elsewhere now."""
    if job.state is not JobState.created:
        return
    for stored in project.journal.values([job.key]).values():
        known = project.values.load(stored) if project.values.readable(stored) else None
        if known is None or ((known.folder or known.built) and not _holds(known, package, built)):
            project.journal.forget([job.key])


def _holds(known: Installed, package: Package, built: str) -> bool:
    """Whether a package still is what was installed, and where."""
    return known.built == built and known.folder == ("" if built else package.folder) and package.ready
