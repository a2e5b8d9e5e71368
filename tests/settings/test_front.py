from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from daskflow.graph.host import CURRENT_SITE
from daskflow.settings import front as module
from daskflow.settings.front import choose, flow, site, task
from tests.conftest import settings_in


def test_whoever_chooses_closes_what_was_open(here: Path) -> None:
    @task
    def work(x: int) -> int:
        return x + 1

    @flow
    def study() -> Any:
        return work(1)

    try:
        for name in ("one", "two"):
            (here / name).mkdir()
            choose(settings_in(here / name))
            assert study() == 2
            assert work(4).result(10) == 5
            assert (here / name / "journal.db").exists()
        choose(settings_in(here / "one"))
        assert not module.launcher._project
        assert module.launcher.project().journal.runs(), "closed, and still good"
    finally:
        module.launcher.close()
        module._chosen.settings = None


def test_options_of_tasks_and_flows() -> None:
    @task(retry_on=OSError, retries=2, timeout="2 min", name="renamed")
    def work(x: int) -> int:
        return x

    @flow(name="a flow", site="far")
    def study() -> None: ...

    assert (work.policy.name, work.policy.retry_on, work.policy.timeout) == ("renamed", (OSError,), 120.0)
    assert (study.name, study.site) == ("a flow", "far")


def test_blocks_of_a_site_nest() -> None:
    with site("outer"):
        with contextlib.suppress(ZeroDivisionError), site("inner"):
            assert CURRENT_SITE.get() == "inner"
            raise ZeroDivisionError
        assert CURRENT_SITE.get() == "outer"
    assert CURRENT_SITE.get() is None
