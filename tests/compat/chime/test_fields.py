from __future__ import annotations

import warnings
from typing import Any

import pytest

import daskflow
from daskflow.compat.chime.fields import modern, tell
from daskflow.compat.chime.work import Work

BASIC = {"pipeline": "sample", "site": "local", "user": "ada"}


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("path", "/data", "where its agent was started, .* DASKFLOW_SCRATCH_DIR names one of its own; .*parameters"),
        ("precursors", [{"sample": "id"}], "flow"),
        ("workspace", "x.yml", "daskflow.yaml"),
    ],
)
def test_fields_that_mean_nothing_any_more_are_told(name: str, value: Any, instead: str) -> None:
    with pytest.warns(FutureWarning, match=rf"'{name}' of a work is not used: .*{instead}"):
        assert modern({**BASIC, name: value}) == BASIC


@pytest.mark.parametrize("old", [{"path": "."}, {"precursors": None}, {"precursors": []}, {"archive": None}])
def test_their_defaults_go_without_a_word(old: dict[str, Any]) -> None:
    assert modern({**BASIC, **old}) == BASIC


@pytest.mark.parametrize("kept", [True, False])
def test_archive_is_part_of_the_configuration(kept: bool) -> None:
    with pytest.warns(FutureWarning, match=f"config.archive.results now: {kept}"):
        work = Work(**BASIC, archive=kept)
    assert work.config.archive.results is kept
    assert work.config.archive.plots == "copy"


def test_archive_goes_with_a_configuration() -> None:
    given = {"parent": "p", "archive": {"plots": "move"}}
    with pytest.warns(FutureWarning, match="archive"):
        work = Work(**BASIC, archive=False, config=given)
    assert (work.config.parent, work.config.archive.plots, work.config.archive.results) == ("p", "move", False)
    with pytest.warns(FutureWarning, match="archive"):
        again = Work(**BASIC, archive=True, config=work.config)
    # What the configuration says itself is newer.
    assert (again.config.parent, again.config.archive.results) == ("p", False)
    assert given == {"parent": "p", "archive": {"plots": "move"}}


def test_other_fields_are_left_to_the_work() -> None:
    assert modern({"nonsense": 1}) == {"nonsense": 1}
    with pytest.raises(ValueError, match="nonsense"):
        Work(**BASIC, nonsense=1)


def test_a_warning_points_at_the_line_of_the_user() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        tell("something")
        modern({"path": "/data"})
        Work.from_dict({**BASIC, "path": "/data"})
        Work(**{**BASIC, "pipeline": "Of Ada"})
        daskflow.Work(**{**BASIC, "pipeline": "Of Ada"})
    assert len(told) == 5
    assert {warning.filename for warning in told} == {__file__}
    assert len({warning.lineno for warning in told}) == 5
