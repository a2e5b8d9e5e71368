from __future__ import annotations

from typing import Any

import pytest

from daskflow.errors import FitsNowhere, SiteUnknown
from daskflow.execution.placing import Places
from daskflow.execution.sending.needing import Needing
from daskflow.model.needs import Needs
from daskflow.model.policy import Resources
from tests.conftest import Lab
from tests.execution.handmade import PaperSite


class Small(PaperSite):
    """A site that holds what has one core, one node and at most a minute."""

    def fit(self, needs: Needs) -> str:
        too_much = needs.cores > 1 or needs.nodes > 1 or (needs.seconds or 0) > 60
        return f"It is too much for {self.name}." if too_much else ""


class Large(PaperSite):
    """The site for batch jobs that stands beside it: no more than four nodes."""

    def fit(self, needs: Needs) -> str:
        return f"It is too much for {self.name}." if needs.nodes > 4 else ""


def places(lab: Lab) -> Places:
    lab.project._makers = {
        **lab.project._makers,
        "cedar": lambda: Small("cedar"),
        "cedar:batch": lambda: Large("cedar:batch"),
        "cedar:bucket": lambda: Large("cedar:bucket"),
        "oak": lambda: Small("oak"),
        "faraway:bucket": lambda: Large("faraway:bucket"),
    }
    return Places(lab.project, "cedar", Needing())


def test_the_sites_of_a_run_are_those_its_jobs_name(lab: Lab) -> None:
    @lab.task
    def work(x: int) -> int:
        return x

    places = Places(lab.project, "synchronous", Needing())
    assert places.all() == []
    assert [places.of(work(1)).name, places.of(work(2, site="threads")).name] == ["synchronous", "threads"]
    assert [site.name for site in places.all()] == ["synchronous", "threads"]
    job = work(3)
    job.site = "nowhere"
    with pytest.raises(SiteUnknown, match="nowhere"):
        places.of(job)


@pytest.mark.parametrize(
    ("policies", "site"),
    [
        ({}, "cedar"),
        ({"placement": "batch"}, "cedar:batch"),
        ({"placement": "bucket"}, "cedar:bucket"),
        ({"placement": "bucket", "site": "faraway"}, "faraway:bucket"),
        ({"placement": "bucket", "site": "oak"}, "oak"),
        ({"resources": Resources(nodes=2)}, "cedar:batch"),
        ({"resources": Resources(walltime=30)}, "cedar"),
        ({"resources": Resources(walltime=3600)}, "cedar:batch"),
        ({"resources": Resources(nodes=2), "site": "oak"}, "oak"),
    ],
)
def test_a_batch_job_is_what_says_so_spans_nodes_or_outlives_all_pilots(
    lab: Lab, policies: dict[str, Any], site: str
) -> None:
    @lab.task(**policies)
    def work(x: int) -> int:
        return x

    made = places(lab)
    job = work(1)
    assert made.of(job).name == site
    assert made.of(work(2)).name == site


def test_what_fits_nowhere_is_an_error_that_names_the_job(lab: Lab) -> None:
    @lab.task
    def work(x: int) -> int:
        return x

    made = places(lab)
    made.check(work(1))
    wide = work.options(resources=Resources(cores=8))(1)
    with pytest.raises(FitsNowhere, match=f"{wide.key}: It is too much for cedar"):
        made.check(wide)
    with pytest.raises(FitsNowhere, match="cedar:batch"):
        made.check(work.options(resources=Resources(nodes=5))(1))
