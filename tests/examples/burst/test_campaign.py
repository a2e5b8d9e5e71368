from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daskflow import Buckets
from daskflow.examples.burst import campaign
from daskflow.examples.burst.simulation import random_burst


@pytest.fixture
def buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Buckets:
    monkeypatch.chdir(tmp_path)
    return Buckets()


def test_each_event_has_a_work_and_a_file(buckets: Buckets, tmp_path: Path) -> None:
    ids = campaign.deposit(buckets, [3, 4], tmp_path / "data")
    works = buckets.view({"event": 4})
    assert [work.id for work in works] == ids[1:]
    assert works[0].parameters is not None
    assert Path(works[0].parameters["path"]).is_file()
    assert buckets.status("burst")["queued"] == 2
    assert campaign.found(buckets, 4) is None


@pytest.mark.acceptance
def test_agents_measure_bursts_and_events_find_them_again(buckets: Buckets, tmp_path: Path) -> None:
    events = [11, 12, 13]
    campaign.deposit(buckets, events, tmp_path / "data")
    campaign.perform(len(events), agents=2)
    assert buckets.status("burst")["success"] == 3
    for event in events:
        work = campaign.found(buckets, event)
        assert work is not None
        for name in ("dm", "width"):
            error = work.results[f"{name}_error"]
            assert work.results[name] == pytest.approx(getattr(random_burst(event), name), abs=4 * error)
        assert Path(work.plots[0]).is_file() if work.plots else False
        assert "DM" in (work.log or "")
    dms = [work.results["dm"] for work in campaign.far(buckets, 0)]
    assert dms == sorted(dms, reverse=True)
    assert len(dms) == 3
    assert campaign.far(buckets, 5000) == []


@pytest.mark.acceptance
def test_as_a_program_it_prints_what_was_found(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "daskflow.examples.burst", "1"]
    ran = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=200, check=True)
    assert f"DM {random_burst(1).dm:.2f}" in ran.stdout
    assert "not found" not in ran.stdout


@pytest.mark.parametrize("arguments", [["x"], ["0"], ["-1"], ["2.5"], [""], ["1", "2"]])
def test_what_is_no_number_of_events_is_said_so(
    buckets: Buckets, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        campaign.main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"{' '.join(arguments)!r} is no number of events. Say how many")
    assert buckets.pipelines() == []
