from __future__ import annotations

import math
import os
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from daskflow.commands.templates import check, fill_command, fill_content, fill_text, names_in, plain, shown, text_of
from daskflow.errors import ArgumentsInvalid
from daskflow.model.command import Command

TEXTS = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30),
    st.text("'\"`$\\;&|<>(){}[]*?!#~%= \t\n-éa0", max_size=20),
)
HOSTILE = "; echo hacked > /dev/stderr; '\"$(echo hacked >&2)`id`\\\n*~ é"


def said(command: Command) -> str:
    """What a command says, with a NUL after each of its arguments."""
    argv = ["/bin/sh", "-c", command.line] if command.line is not None else command.argv
    run = subprocess.run(argv, capture_output=True, check=True, cwd="/")
    assert run.stderr == b""
    return run.stdout.decode()


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_any_text_is_one_word_for_the_shell(text: str) -> None:
    assert said(fill_command(Command("printf '%s\\0' {text} end"), {"text": text})) == f"{text}\0end\0"


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_lists_are_words(texts: list[str]) -> None:
    expected = "".join([f"{text}\0" for text in ["begin", *texts]])
    assert said(fill_command(Command("printf '%s\\0' begin {texts}"), {"texts": texts})) == expected
    assert said(fill_command(Command(["printf", "%s\\0", "begin", "{texts}"]), {"texts": texts})) == expected


@pytest.mark.parametrize(
    "line",
    [
        "printf %s 'a{x}b'",
        'printf %s "a{x}b"',
        "printf %s a{x}b",
        "printf %s \"$(printf %s 'a{x}b')\"",
        'printf %s "$(printf %s "a{x}b")"',
        "(printf %s a{x}b) # don't",
        "# it's a {x}\nprintf %s a{x}b",
        'f() { printf %s "a$1"; }; f {x}b',
        "printf %s \"${NOTHING:-a}\"{x}'b'",
        "case 1 in 1) printf %s a{x}b;; esac",
        "printf %s \\a{x}b",
    ],
)
def test_quotes_of_the_line_are_respected(line: str) -> None:
    assert said(fill_command(Command(line), {"x": HOSTILE})) == f"a{HOSTILE}b"


def test_plain_values_stand_in_the_line_itself() -> None:
    filled = fill_command(Command("run {n} > {out}.log # {n:04d}"), {"n": 7, "out": "dir/a-b"})
    assert filled.line == "run 7 > dir/a-b.log # 0007"


def test_what_people_see_of_a_command() -> None:
    parameters = {"x": "a b", "n": [1, "it's"]}
    assert shown(Command("grep {x:>4} {n} $HOME"), parameters) == "grep ' a b' 1 'it'\"'\"'s' $HOME"
    assert shown(Command(["grep", "{x}", "{n}"]), parameters) == "grep 'a b' 1 'it'\"'\"'s'"
    assert shown(Command("grep {x}"), {}) == "grep {x}"


def test_all_parts_of_a_command_are_filled() -> None:
    given = Command(["{program}", "-n{n}"], env={"SEED": "{n:03d}"}, workdir="run-{n}", stdin="{n}\n", timeout=3)
    filled = fill_command(given, {"program": "lmp", "n": 5})
    assert (filled.argv, filled.env, filled.workdir, filled.stdin) == (("lmp", "-n5"), {"SEED": "005"}, "run-5", "5\n")
    assert filled.timeout == 3
    assert fill_command(Command(["cat"], stdin=b"{n}"), {"n": 5}).stdin == b"{n}"


@pytest.mark.parametrize(
    "line",
    [
        "awk '{print $1}'",
        "echo ${n} ${HOME:-x}",
        'echo \'{"a": {"b": 1}}\'',
        "echo {a,b} {1..3} {} {{}}",
        "find . -exec ls {} \\;",
    ],
)
def test_what_is_no_parameter_is_left_alone(line: str) -> None:
    assert fill_command(Command(line), {"n": 1}).line == line
    assert names_in(Command(line)) == set()


def test_braces_of_their_own() -> None:
    parameters = {"n": 1}
    assert fill_command(Command("echo {{n}} {{print}} {{{n}}}"), parameters).line == "echo {n} {print} {1}"
    assert fill_content("{{n}} {{print}} {{{n}}}", parameters) == "{n} {{print}} {1}"


def test_a_job_without_parameters_has_no_templates() -> None:
    command = Command("awk '{print}' {{x}}")
    assert fill_command(command, {}) is command
    assert fill_content("{x} {{x}}", {}) == "{x} {{x}}"
    assert fill_text("{x}", {}) == "{x}"


@pytest.mark.parametrize(
    "command",
    [
        Command("run {nstep}"),
        Command(["run", "{nstep}"]),
        Command("run", env={"A": "{nstep}"}),
        Command("run", stdin="{nstep}"),
        Command("run", workdir="{nstep}"),
    ],
)
def test_unknown_parameters_are_named_with_the_nearest(command: Command) -> None:
    with pytest.raises(ArgumentsInvalid, match=r"\{nstep\}.*Did you mean \{nsteps\}\?.*\{\{nstep\}\}"):
        check(command, {"nsteps": 1, "seed": 2})
    with pytest.raises(ArgumentsInvalid, match="nstep"):
        fill_command(command, {"nsteps": 1})


def test_contents_replace_known_names_only() -> None:
    text = 'variable x equal {n}\nrun ${n} {unknown} {"n": {n}} {n:5.2f} {list[1]}\n'
    expected = 'variable x equal 3\nrun ${n} {unknown} {"n": 3}  3.00 b\n'
    assert fill_content(text, {"n": 3, "list": ["a", "b"]}) == expected


def test_texts_of_an_environment_are_checked() -> None:
    assert fill_text("{a} b", {"a": "x y"}) == "x y b"
    with pytest.raises(ArgumentsInvalid, match="no parameter"):
        fill_text("{b}", {"a": 1})


@settings(deadline=None)
@given(st.floats())
def test_floats_keep_all_their_digits(value: float) -> None:
    found = float(text_of(value))
    assert found == value or (math.isnan(found) and math.isnan(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"), (False, "false"), (np.bool_(True), "true"), (12, "12"), (np.int32(12), "12"), (1e-7, "1e-07"),
        (np.float64(0.1), "0.1"), (np.array(2.5), "2.5"), (xr.DataArray(0.5), "0.5"), (np.arange(3), "0 1 2"),
        ((1, "b"), "1 b"), ([], ""),
        (range(2), "0 1"), (Path("a") / "b c", "a/b c"), (Decimal("0.10"), "0.10"), ("", ""), (np.str_("x"), "x"),
    ],
)  # fmt: skip
def test_texts_of_values(value: Any, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize("value", [None, b"x", {"a": 1}, {1, 2}, 1j, object(), np.datetime64("2020-01-01"), [1, None]])
def test_what_has_no_text_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentsInvalid, match="has no text for a command"):
        text_of(value)


@pytest.mark.parametrize(
    ("value", "spec", "message"), [("x", ".3f", "format"), ("a\0b", None, "NUL"), ("\ud800", None, "half")]
)
def test_bad_texts_are_refused(value: Any, spec: str | None, message: str) -> None:
    with pytest.raises(ArgumentsInvalid, match=message):
        text_of(value, spec)


def test_names_that_are_no_utf8_pass() -> None:
    name = os.fsdecode(b"caf\xe9 x")
    command = fill_command(Command("printf %s {name}"), {"name": name})
    assert subprocess.run(["sh", "-c", str(command.line)], capture_output=True, check=True).stdout == b"caf\xe9 x"


def test_items() -> None:
    parameters = {"map": {"a": 1, "2": "two"}, "list": [5, 6]}
    assert fill_command(Command("{map[a]} {map[2]} {list[0]} {list[-1]}"), parameters).line == "1 two 5 6"
    for text in ("{map[b]}", "{list[9]}", "{list[a]}"):
        with pytest.raises(ArgumentsInvalid, match="is not there"):
            fill_command(Command(text), parameters)


def test_an_argument_list_needs_a_program() -> None:
    with pytest.raises(ArgumentsInvalid, match="no program"):
        fill_command(Command(["{words}"]), {"words": []})


def test_plain_keeps_what_it_does_not_know() -> None:
    value = object()
    assert plain(value) is value
    assert plain((1, 2)) == [1, 2]
