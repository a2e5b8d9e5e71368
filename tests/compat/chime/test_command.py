from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

import daskflow
from daskflow.compat.chime.command import translated
from daskflow.views.cli import app
from tests.acceptance.shell import environment


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("run b1 b2 --site chime", "work run b1 b2 --site chime"),
        (
            "run b -s chime -t x -t y -p r -e 1 -e 2",
            "work run b --site chime --event 1 --event 2 --tag x --tag y --parent r",
        ),
        ("run b --site s -f a.b --argsource work", "work run b --site s --function a.b --argsource work"),
        ("run b a.b --site s --lifetime -1 --sleep-time 7", "work run b a.b --site s --sleep 7"),
        (
            "run b a.b --site s -s 7 -l 3 -b http://h",
            "work run b a.b --site s --lives 3 --idle 21 --sleep 7 --url http://h",
        ),
        ("run b --site s a.b", "work run b a.b --site s"),
        ("run b --site s c -t x a.b --sleep 7", "work run b c a.b --site s --sleep 7 --tag x"),
        ("run b -s s -s 1e2 -l 2", "work run b --site s --lives 2 --idle 200 --sleep 1e2"),
        ("run b -s s --lives 1", "work run b --site s --lives 1 --idle 30"),
        ("run b -s s --lives 0", "work run b --site s --lives 0 --idle 30"),
        ("audit", "work audit --every 5"),
        ("audit -s 60", "work audit --every 60"),
        ("audit --test-mode", "work audit --json"),
        ("buckets ls", "work status"),
        ("buckets ps b", "work view b --json --limit 1"),
        (
            "buckets rm b -s failure -e 7 -t x -p r -f",
            "work rm b --status failure --limit 100 --event 7 --tag x --parent r --force",
        ),
        ("results count p", "work status p"),
        (
            "results view p --status success --event 7 --tags x",
            "work view p --limit 10 --skip 0 --event 7 --tag x --status success",
        ),
        ("results view p --json --limit 2", "work view p --limit 2 --skip 0 --status success --status failure --json"),
    ],
)
def test_each_command_has_another_one_here(given: str, made: str) -> None:
    assert " ".join(translated(given.split())) == made
    assert_known(made.split())


def assert_known(words: list[str]) -> None:
    """See that daskflow has such a command, and takes such options."""
    command: Any = typer.main.get_command(app)
    context = None
    while isinstance(command, TyperGroup):
        context = command.make_context("daskflow", words, parent=context)
        _, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
    command.make_context("daskflow", words, parent=context)


def test_a_line_for_the_shell_stays_one_word() -> None:
    assert translated(["run", "b", "--site", "s", "-c", "echo a b"])[-2:] == ["--command", "echo a b"]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("configs ls", "configs is elsewhere: `daskflow pipeline"),
        ("transfer --limit 50", "results stay in their buckets"),
        ("run b", "--site NAME"),
        ("run b --site s --frob", "there is no option '--frob' of run"),
        ("run b --site s --frob x", "there is no option '--frob' of run"),
        ("buckets ls b", "there is no argument 'b' of buckets"),
        ("run b --site s --sleep abc -l 2", "'abc' is no time in seconds: give a number"),
        ("run b --site s --sleep-time=-1", "'-1' is no time in seconds"),
    ],
)
def test_what_is_not_here_is_told(given: str, error: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        translated(given.split())
    assert error in f"{caught.value} {capsys.readouterr().err}"


@pytest.mark.parametrize("option", ["--workspace=w.yml", "--log-level=DEBUG", "--loki-url=http://h"])
def test_options_without_a_meaning_warn(option: str) -> None:
    with pytest.warns(FutureWarning, match=rf"{option.partition('=')[0]} is not used: "):
        assert translated(["run", "b", "--site", "s", option]) == ["work", "run", "b", "--site", "s"]


def start(here: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "daskflow.compat.chime", "run", "sample", "statistics.fmean", *arguments]
    return subprocess.Popen(command, cwd=here, env=environment(), stdout=subprocess.PIPE, text=True)


@pytest.mark.acceptance
def test_works_are_performed_and_an_empty_bucket_ends_it(here: Path) -> None:
    with daskflow.Buckets() as buckets:
        buckets.deposit(daskflow.Work(pipeline="sample", site="local", user="ada", parameters={"data": [1, 3]}))
        agent = start(here, "-s", "local", "--lifetime", "5", "--sleep-time", "0.1")
        assert "1 success" in agent.communicate(timeout=60)[0]
        assert agent.returncode == 0
        assert [work.results for work in buckets.view()] == [2]


@pytest.mark.acceptance
def test_a_signal_reaches_the_agent(here: Path) -> None:
    with daskflow.Buckets() as buckets:
        buckets.deposit(daskflow.Work(pipeline="sample", site="local", user="ada", parameters={"data": [1, 3]}))
        agent = start(here, "--site", "local")
        try:
            assert agent.stdout is not None
            assert "success" in agent.stdout.readline()
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(60) == 0
        finally:
            agent.kill()
            agent.communicate()
