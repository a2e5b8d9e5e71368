from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from daskflow import settings as module
from daskflow.errors import CredentialsMissing, SettingsInvalid, StoreUnavailable
from daskflow.graph.host import CURRENT_SITE
from daskflow.settings import FILE, Settings, SiteSettings, choose, flow, load, make_site, open_project, site, task
from daskflow.sites import ClusterSite, SynchronousSite
from tests.acceptance.shell import environment
from tests.conftest import settings_in

ROOT = Path(__file__).parents[1]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; the user's own configuration lies in `home/daskflow` under it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "daskflow").mkdir(parents=True)
    return tmp_path


def test_the_defaults(here: Path) -> None:
    found = load()
    assert found == Settings()
    assert (found.site, found.store, found.inline_limit, found.bundling) == (
        "local",
        ".daskflow/journal.db",
        65536,
        True,
    )


def test_the_directory_comes_before_the_user_and_variables_before_both(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = here / "home" / "daskflow" / FILE
    user.write_text("site: threads\nstore: user.db\ninline_limit: 1 KiB\nsites:\n  local:\n    workers: 3\n")
    assert (load().site, load().store, load().inline_limit) == ("threads", "user.db", 1024)
    (here / FILE).write_text("store: here.db\nsites:\n  local:\n    memory: 2 GiB\n  far:\n    kind: threads\n")
    found = load()
    assert (found.site, found.store, found.inline_limit) == ("threads", "here.db", 1024)
    assert found.sites == {"local": SiteSettings(workers=3, memory=2**31), "far": SiteSettings(kind="threads")}
    monkeypatch.setenv("DASKFLOW_STORE", "variable.db")
    monkeypatch.setenv("DASKFLOW_SITES__LOCAL__WORKERS", "5")
    monkeypatch.setenv("DASKFLOW_SITES__NEW__KIND", "synchronous")
    monkeypatch.setenv("DASKFLOW_BUNDLING", "no")
    found = load()
    assert (found.store, found.bundling) == ("variable.db", False)
    assert found.sites == {
        "local": SiteSettings(workers=5, memory=2**31),
        "far": SiteSettings(kind="threads"),
        "new": SiteSettings(kind="synchronous"),
    }


def test_a_named_file_is_the_only_one(here: Path) -> None:
    (here / FILE).write_text("site: threads\n")
    (here / "other.yaml").write_text("store: other.db\n")
    assert (load("other.yaml").site, load(here / "other.yaml").store) == ("local", "other.db")
    with pytest.raises(SettingsInvalid, match=r"There is no configuration file gone\.yaml"):
        load("gone.yaml")


def test_an_empty_file_changes_nothing(here: Path) -> None:
    (here / FILE).write_text("# nothing\n")
    assert load() == Settings()


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "configs").glob("*.yaml")))
def test_the_examples_can_be_read(here: Path, name: str) -> None:
    assert isinstance(load(ROOT / "configs" / name), Settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("store: [1]", "The option 'store' does not fit"),
        ("stroe: a.db", "The option 'stroe' is not known"),
        ("sites:\n  a:\n    wrkers: 2", r"The option 'sites\.a\.wrkers' is not known"),
        ("sites:\n  a:\n    kind: slurp", r"The option 'sites\.a\.kind' does not fit: Input should be 'processes'"),
        ("sites:\n  a:\n    workers: 0", r"The option 'sites\.a\.workers' does not fit"),
        ("sites:\n  a:\n    kind: dask", r"The option 'sites\.a' does not fit: .*needs the address"),
        ("inline_limit: 3 parsecs", "The option 'inline_limit' does not fit: .*'3 parsecs' is not an amount of memory"),
        ("notifications:\n  - to: x", r"The option 'notifications\.0\.on' does not fit"),
        ("notifications:\n  - {on: a, to: 'json://me:pw@host'}", r"The option 'notifications\.0\.to' .*do not belong"),
        ("a: [", "cannot be read: .*line 1"),
        ("- a list", "cannot be read"),
    ],
)
def test_errors_name_the_option_and_the_file(here: Path, text: str, message: str) -> None:
    (here / FILE).write_text(text)
    with pytest.raises(SettingsInvalid, match=rf"(?s){message}.*\(read daskflow\.yaml, variables DASKFLOW_\.\.\.\)"):
        load()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DASKFLOW_STROE", "a.db", "The variable DASKFLOW_STROE names no option. There are store, artifacts, "),
        ("DASKFLOW_SITES__A__WRKERS", "2", "The option 'sites.a.wrkers' is not known"),
        ("DASKFLOW_SITES__A__KIND", "slurp", "The option 'sites.a.kind' does not fit"),
        ("DASKFLOW_INLINE_LIMIT", "much", "The option 'inline_limit' does not fit"),
        ("DASKFLOW_SITES", "{", "sites"),
    ],
)
def test_variables_that_do_not_fit(
    here: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as caught:
        load()
    assert message in str(caught.value)


def test_rules_of_notifications(here: Path) -> None:
    (here / FILE).write_text("notifications:\n  - on: qa.*\n    to: ${HOOK}\n    every: 60 s\n")
    (rule,) = load().notifications
    assert (rule.on, rule.to, rule.flow, rule.every) == (("qa.*",), "${HOOK}", "*", 60.0)
    for readonly in (False, True):
        project = open_project(load(), readonly=readonly)
        with contextlib.nullcontext() if readonly else pytest.raises(CredentialsMissing):
            project.start_notifier()
        project.close()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().site = "other"


@pytest.mark.parametrize("configured", [False, True])
def test_pydantic_settings_is_imported_only_when_there_is_something_to_read(here: Path, configured: bool) -> None:
    if configured:
        (here / FILE).write_text("site: threads\n")
    code = (
        "import sys, daskflow.settings as s\n"
        "s.load()\n"
        "heavy = ('pydantic_settings', 'yaml', 'distributed', 'urllib3', 'tomllib')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=here,
        env=environment(XDG_CONFIG_HOME=str(here / "home")),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == ("['pydantic_settings', 'yaml']" if configured else "[]"), done.stderr


@pytest.mark.parametrize(
    ("given", "kind", "slots"),
    [
        ({"kind": "processes", "workers": 3, "threads": 2}, ClusterSite, 6),
        ({"kind": "threads", "workers": 3, "threads": 2}, ClusterSite, 3),
        ({"kind": "dask", "workers": 3, "threads": 2, "address": "tcp://far:8786"}, ClusterSite, 6),
        ({"kind": "synchronous", "workers": 3}, SynchronousSite, 1),
    ],
)
def test_sites_are_made_as_configured(given: dict[str, Any], kind: type, slots: int) -> None:
    made = make_site("a-site", SiteSettings.model_validate(given), "")
    assert type(made) is kind
    assert (made.name, made.slots) == ("a-site", slots)


@pytest.mark.parametrize("shipping", [True, False])
def test_a_site_may_take_no_packages(shipping: bool) -> None:
    made = make_site("a-site", SiteSettings(shipping=shipping), "")
    assert isinstance(made, ClusterSite)
    assert made.packages.shipping is shipping


def test_one_worker_for_each_core_unless_told_otherwise() -> None:
    assert make_site("a-site", SiteSettings(), "").slots == len(os.sched_getaffinity(0))


def test_a_project_knows_the_built_in_and_the_configured_sites(tmp_path: Path) -> None:
    project = open_project(
        settings_in(tmp_path, sites={"far": {"kind": "synchronous"}, "local": {"kind": "synchronous"}})
    )
    assert {project.site(name).name for name in ("local", "threads", "synchronous", "far")} == {
        "local",
        "threads",
        "synchronous",
        "far",
    }
    assert isinstance(project.site("local"), SynchronousSite), "a built-in one may be configured anew"
    assert project.default_site == "synchronous"
    assert project.logs == tmp_path / "logs"
    project.close()


def test_only_looking_makes_nothing(here: Path) -> None:
    project = open_project(Settings(), readonly=True)
    with pytest.raises(StoreUnavailable, match="There is no journal"):
        project.journal.runs()
    project.close()
    assert not (here / ".daskflow").exists()


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
