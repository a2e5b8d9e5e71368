"""What goes to the terminal: JSON without NaN, tables by state."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from daskflow.model.records import RunRecord
from daskflow.views.terminal import counts_rows, printable, run_fields, say, show_json, show_table


def test_json_has_no_nan_and_shows_anything(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"nan": float("nan"), "number": np.int64(3), "array": np.arange(3), "bytes": b"\xff", "type": object})
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["nan"] is None
    assert found["number"] == 3
    assert "array" in found["array"]


def test_run_is_shown_without_its_pickle() -> None:
    assert "payload" not in run_fields(RunRecord(id="a", flow="b", payload=b"x"))


def test_only_states_that_occur_have_a_column() -> None:
    assert counts_rows({"a": {"failed": 1, "queued": 0}, "b": {"succeeded": 2}}) == (
        ["task", "succeeded", "failed"],
        [["a", "", 1], ["b", 2, ""]],
    )


def test_text_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    text = "[bold]no markup[/bold] :smile: " + "long " * 100
    say(text)
    show_table(["a"], [["[red]x"]])
    out = capsys.readouterr().out
    assert text in out
    assert "[red]x" in out


def test_standard_output_is_kept_clean() -> None:
    code = (
        "import os\n"
        "from daskflow.views.terminal import stdout_kept_clean\n"
        "with stdout_kept_clean(when=True):\n"
        "    print('by the flow')\n"
        "    os.system('echo by a child')\n"
        "print('by us')\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "by us\n"
    assert sorted(found.stderr.splitlines()) == ["by a child", "by the flow"]


def test_what_a_terminal_would_obey_is_escaped() -> None:
    assert printable("a\tb\nc é\x1b[31m\x07\r\x7f\x9b") == "a\tb\nc é\\x1b[31m\\x07\\x0d\\x7f\\x9b"
