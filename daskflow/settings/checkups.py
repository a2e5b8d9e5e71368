"""What the doctor has to know of a site, as configured."""

from __future__ import annotations

from daskflow.execution.doctor.patient import Patient
from daskflow.settings.kinds import BATCH
from daskflow.settings.options import Settings
from daskflow.settings.parts import values_of
from daskflow.settings.pilots import plan_of, site_of, system_and_plan


def patient_of(name: str, settings: Settings) -> Patient:
    """A site as the doctor looks it over.

    Raises
    ------
    SiteUnknown
        None is configured so.
    """
    site = site_of(name, settings)
    home = settings.home_of(name)
    system, plan = system_and_plan(name, site, home) if site.kind in BATCH else (None, plan_of(name, site, home))
    return Patient(
        name,
        site.kind,
        plan,
        settings.store,
        settings.logs.expanduser().absolute(),
        store=values_of(settings).store,
        system=system,
        address=site.address,
        scratch=settings.scratch if site.scratch is None else site.scratch,
    )
