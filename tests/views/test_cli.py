"""The command line as a whole: help, exit codes, errors."""

from __future__ import annotations

import subprocess
import sys

from tests.views.conftest import Place

COMMANDS = (
    "run",
    "plan",
    "why",
    "runs",
    "show",
    "logs",
    "questions",
    "answer",
    "cancel",
    "pause",
    "resume",
    "report",
    "demo",
    "artifact",
)


def test_help_names_all_commands(place: Place) -> None:
    out = place.run("--help")
    assert all(f"  {name} " in out for name in COMMANDS)


def test_each_command_has_help(place: Place) -> None:
    assert all(len(place.run(name, "--help").splitlines()) > 3 for name in ("run", "why", "demo"))


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; import daskflow.views.cli as cli; sys.argv = ['daskflow', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'dask', 'numpy', 'pandas', 'bokeh', 'jinja2', 'jsonschema', 'yaml', 'rich', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


def test_version_is_told(place: Place) -> None:
    assert place.run("--version").startswith("daskflow ")


def test_unknown_command_is_a_usage_error(place: Place) -> None:
    assert "nonsense" in place.error("nonsense")


def test_where_nothing_ran_there_is_nothing_to_look_at(place: Place) -> None:
    assert "no journal" in place.error("runs")
    assert not (place.directory / ".daskflow").exists()


def test_configuration_that_does_not_fit_is_named(place: Place) -> None:
    place.write("daskflow.yaml", "bundlings: true\n")
    assert "bundlings" in place.error("run", "flows.py:study")


def test_configuration_may_be_elsewhere(place: Place) -> None:
    place.write("other.yaml", "store: elsewhere/journal.db\n")
    place.run("run", "flows.py:study", "--config", "other.yaml")
    assert (place.directory / "elsewhere" / "journal.db").exists()
    assert len(place.json("runs", "--config", "other.yaml")) == 1
