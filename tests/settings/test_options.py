from __future__ import annotations

import contextlib
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from daskflow.commands.environment import own_variables
from daskflow.commands.order import Order, Tools
from daskflow.commands.perform import perform
from daskflow.commands.scratch import Scratch
from daskflow.errors import CredentialsMissing, SettingsInvalid
from daskflow.model.command import Command
from daskflow.settings.options import FILE, Settings, SiteSettings, load, variables_to_hand_on
from daskflow.settings.parts import open_project
from tests.acceptance.shell import environment

ROOT = Path(__file__).parents[2]


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
        ("sites:\n  a:\n    kind: slurp", r"The option 'sites\.a\.kind' does not fit: it must be 'processes'"),
        ("sites:\n  a:\n    workers: 0", r"The option 'sites\.a\.workers' does not fit"),
        ("sites:\n  a:\n    kind: dask", r"The option 'sites\.a' does not fit: .*needs the address"),
        ("containers: [dcoker]", "'dcoker' is no container runtime; known are apptainer"),
        ("sites:\n  a:\n    containers: [x]", r"The option 'sites\.a' does not fit: 'x' is no container runtime"),
        ("sites:\n  a:\n    binds: [data]", r"The option 'sites\.a' does not fit: 'data' is no bind"),
        ("inline_limit: 3 parsecs", "The option 'inline_limit' does not fit: .*'3 parsecs' is not an amount of memory"),
        ("notifications:\n  - to: x", r"The option 'notifications\.0\.on' does not fit"),
        ("notifications:\n  - {on: a, to: 'json://me:pw@host'}", r"The option 'notifications\.0\.to' .*do not belong"),
        ("a: [", "cannot be read: .*line 1"),
        ("- a list", "A configuration is a mapping of options"),
        ("5", "A configuration is a mapping of options"),
    ],
)
def test_errors_name_the_option_and_the_file(here: Path, text: str, message: str) -> None:
    (here / FILE).write_text(text)
    with pytest.raises(SettingsInvalid, match=rf"(?s){message}.*\(read daskflow\.yaml, variables DASKFLOW_\.\.\.\)"):
        load()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "DASKFLOW_STROE",
            "a.db",
            "The variable DASKFLOW_STROE names no option. There are store, store_patience, artifacts, ",
        ),
        ("DASKFLOW_SITES__A__WRKERS", "2", "The option 'sites.a.wrkers' is not known"),
        ("DASKFLOW_SITES__A__KIND", "slurp", "The option 'sites.a.kind' does not fit"),
        ("DASKFLOW_INLINE_LIMIT", "much", "The option 'inline_limit' does not fit"),
        ("DASKFLOW_SITES", "{", "The variable DASKFLOW_SITES is no JSON"),
    ],
)
def test_variables_that_do_not_fit(
    here: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as caught:
        load()
    assert message in str(caught.value)


def test_what_a_command_is_told_is_no_option(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASKFLOW_SITE", "threads")
    order = Order((Command("daskflow ls"),), cores=2, memory=1 << 30, parameters={"store": "a.db", "n__m": 1})
    tools = Tools(root=here, run="r", job="a-1", time_left=lambda: 60.0)
    with Scratch(here / "scratch", "a-1") as scratch:
        told = own_variables(order, tools, scratch, {})
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert {"DASKFLOW_SCRATCH_DIR", "DASKFLOW_TIME_LEFT", "DASKFLOW_PARAM_STORE", "DASKFLOW_PARAM_N__M"} <= set(told)
    assert load() == Settings(site="threads")
    assert variables_to_hand_on() == {"DASKFLOW_SITE": "threads"}


@pytest.mark.parametrize(
    ("given", "handed"),
    [
        ("postgresql://ann:secret@db/x", "postgresql://ann@db/x"),
        ("postgresql://:secret@db/x?password=secret&sslmode=require", "postgresql://@db/x?sslmode=require"),
        ("postgresql://db:5432/x?sslmode=require&sslpassword=secret", "postgresql://db:5432/x?sslmode=require&"),
        ("postgresql://ann@db/x", "postgresql://ann@db/x"),
        ('{"store": "postgresql://ann:secret@db/x"}', '{"store": "postgresql://ann@db/x"}'),
        ("a:b@c.db", "a:b@c.db"),
    ],
)
def test_passwords_are_not_handed_on(monkeypatch: pytest.MonkeyPatch, given: str, handed: str) -> None:
    monkeypatch.setenv("DASKFLOW_STORE", given)
    assert variables_to_hand_on() == {"DASKFLOW_STORE": handed}


def test_tokens_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASKFLOW_WORKS", '{"store": "https://x", "token": "secret"}')
    monkeypatch.setenv("DASKFLOW_WORKS__TOKEN", "secret")
    monkeypatch.setenv("DASKFLOW_TOKEN", "secret")
    assert variables_to_hand_on() == {"DASKFLOW_WORKS": '{"store": "https://x"}'}


def test_a_store_on_a_server_has_no_directory_beside_it(here: Path) -> None:
    settings = Settings(store="postgresql://ann@db/x", logs=here / "logs")
    assert settings.home_of("cluster") == str(here / "sites" / "cluster")


def test_a_program_of_ours_that_a_command_starts_reads_its_own_options(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASKFLOW_SCRATCH", "/fast")
    line = f"{shlex.quote(sys.executable)} -c 'from daskflow.settings.options import load; print(repr(load().scratch))'"
    tools = Tools(root=here / "scratch", run="r", job="a-1", time_left=lambda: 60.0)
    assert perform(Order((Command(line),), parameters={"n": 3}), tools).stdout == b"'/fast'\n"


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
        "import sys, daskflow.settings.front, daskflow.settings.options as s\n"
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
