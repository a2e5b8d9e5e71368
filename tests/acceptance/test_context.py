"""What parallel stages of several runs, in several processes, add to their contexts at once is all there."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from daskflow.execution.context.context import Context
from daskflow.settings.parts import open_project
from tests.acceptance.shell import environment
from tests.conftest import settings_in

STAGES = 10
FLOW = """
import sys

from daskflow import Context, flow


@flow
def stage(number: int, values: int) -> None:
    ctx = Context.load()
    for turn in range(values):
        # One name that all of them change, and one for each of them.
        if turn % 2:
            ctx.add("scores", {f"{number}-{turn}": turn})
        else:
            ctx.add("turn", turn, stage=f"stage-{number}")


@flow
def study(stages: int, values: int) -> str:
    children = [stage.submit(number, values // stages) for number in range(stages)]
    for child in children:
        child.result()
    return Context.load().run


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    print(study(int(sys.argv[1]), int(sys.argv[2])))
"""


@pytest.mark.parametrize(("kind", "values"), [("sqlite", 1000), ("postgresql", 120)])
def test_two_runs_with_ten_stages_each_lose_no_value(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, values: int
) -> None:
    store = request.getfixturevalue("postgres") if kind == "postgresql" else ".daskflow/journal.db"
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "daskflow.yaml").write_text(f"site: synchronous\nstore: {store}\n")
    with ExitStack() as stack:
        drivers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "flow.py", str(STAGES), str(values)],
                    cwd=tmp_path,
                    env=environment(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(2)
        ]
        for driver in drivers:
            assert driver.stdout is not None
            assert driver.stdout.readline() == "ready\n"
        for driver in drivers:
            assert driver.stdin is not None
            driver.stdin.write("go\n")
            driver.stdin.flush()
        runs = [driver.communicate(timeout=240)[0].strip() for driver in drivers]
        assert [driver.returncode for driver in drivers] == [0, 0]
    assert len(set(runs)) == 2
    monkeypatch.chdir(tmp_path)
    project = open_project(settings_in(tmp_path, store=store))
    monkeypatch.setattr(Context, "open_project", staticmethod(lambda: project))
    try:
        for run in runs:
            _check(Context.load(run), values)
    finally:
        project.close()


def _check(ctx: Context, values: int) -> None:
    each = values // STAGES
    assert ctx["scores"] == {f"{i}-{turn}": turn for i in range(STAGES) for turn in range(1, each, 2)}
    shared = ctx.history("scores")
    assert [record.version for record in shared] == list(range(1, values // 2 + 1))
    assert [len(record.value) for record in shared] == list(range(1, values // 2 + 1)), "each change adds to the last"
    own = {f"stage-{i}": ctx.history("turn", stage=f"stage-{i}") for i in range(STAGES)}
    assert {stage: [record.value for record in found] for stage, found in own.items()} == {
        stage: list(range(0, each, 2)) for stage in own
    }
    every = sorted([*shared, *ctx.history("turn")], key=lambda record: record.turn)
    assert [record.turn for record in every] == list(range(1, values + 1)), "one order of all changes"
    assert all(one.time <= other.time for one, other in pairwise(own["stage-0"]))
    spans = sorted((found[0].turn, found[-1].turn) for found in own.values())
    assert any(later[0] < earlier[1] for earlier, later in pairwise(spans)), "stages worked at once"
