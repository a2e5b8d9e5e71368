"""Commands that are imported when they are called."""

from __future__ import annotations

import sys

import typer
from typer.testing import CliRunner

from daskflow.views.late import LateGroup, loaded
from tests.views.conftest import Place


def test_help_of_a_late_group_is_its_own(place: Place) -> None:
    out = place.run("site", "--help")
    assert "schema" in out
    assert "check" in out


def test_a_late_command_takes_its_arguments(place: Place) -> None:
    assert "RUN" in place.run("efficiency", "--help")


def test_unknown_commands_of_late_groups(place: Place) -> None:
    assert "nonsense" in place.error("site", "nonsense")


def test_all_homes_are_there() -> None:
    import daskflow.views.cli  # noqa: PLC0415, adds them

    assert "daskflow.views.cli" in sys.modules
    assert {"run", "efficiency", "artifact", "serve"} < set(LateGroup.homes)
    for home in LateGroup.homes.values():
        assert "install_completion" not in {parameter.name for parameter in loaded(home).params}
    assert daskflow.views.cli.app.registered_commands


def test_functions_and_apps_are_loaded() -> None:
    app = typer.Typer(cls=LateGroup)

    @app.command("here")
    def here() -> None:
        typer.echo("here")

    @app.callback()
    def common() -> None:
        pass

    assert CliRunner().invoke(app, ["here"]).output == "here\n"
