"""`artifact put|get|ls|info|rm|pin|unpin`, as processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.views.conftest import Place

FLOW = """
from daskflow import flow, task

@task
def many(n):
    return bytes(n)

@flow
def study(n: int = 100_000):
    return many(n)
"""


def test_a_file_comes_back_as_it_was(place: Place) -> None:
    place.write("map 1.fits", "sky")
    assert place.run("artifact", "put", "map 1.fits").startswith("map 1.fits  3 B")
    assert place.run("artifact", "get", "map 1.fits", "copy.fits").startswith("copy.fits")
    assert (place.directory / "copy.fits").read_text() == "sky"
    assert "there already" in place.error("artifact", "get", "map 1.fits")
    (place.directory / "data").mkdir()
    assert place.json("artifact", "get", "map 1.fits", "data")["path"] == "data/map 1.fits"


def test_a_directory_comes_back_as_it_was(place: Place) -> None:
    (place.directory / "obs.ms" / "table").mkdir(parents=True)
    (place.directory / "obs.ms" / "table" / "f0").write_bytes(b"\x00\x01")
    assert place.json("artifact", "put", "obs.ms/", "raw/Ω.ms")["kind"] == "tree"
    place.run("artifact", "get", "raw/Ω.ms")
    assert (place.directory / "Ω.ms" / "table" / "f0").read_bytes() == b"\x00\x01"


def test_standard_input_needs_a_name(place: Place) -> None:
    command = [sys.executable, "-m", "daskflow", "artifact", "put", "-", "piped"]
    subprocess.run(command, input=b"data", cwd=place.directory, env=place.environment, check=True, capture_output=True)
    assert place.json("artifact", "info", "piped")["size"] == 4
    assert "put - NAME" in place.error("artifact", "put", "-")


def test_names_are_listed_and_taken_away(place: Place) -> None:
    place.write("a", "one")
    for name in ("raw/b", "raw/a", "rest"):
        place.run("artifact", "put", "a", name)
    assert [row["name"] for row in place.json("artifact", "ls")] == ["raw/a", "raw/b", "rest"]
    assert [row["name"] for row in place.json("artifact", "ls", "raw/")] == ["raw/a", "raw/b"]
    assert place.json("artifact", "info", "rest")["other_names"] == ["raw/a", "raw/b"]
    place.run("artifact", "rm", "raw/a", "rest")
    assert [row["name"] for row in place.json("artifact", "ls")] == ["raw/b"]
    assert "raw/b" in place.run("artifact", "ls")


def test_what_is_not_there_is_said_with_what_is_near(place: Place) -> None:
    place.write("cube.h5", "one")
    place.run("artifact", "put", "cube.h5")
    for command in ("get", "info", "rm", "pin"):
        assert "cube.h5" in place.error("artifact", command, "cub.h5")
    assert "There is no file" in place.error("artifact", "put", "nothing")
    assert "`..`" in place.error("artifact", "put", "cube.h5", "../x")
    assert "no name of an artifact" in place.error("artifact", "get", "raw//a")


def test_bytes_that_are_lost_are_no_mistake_of_usage(place: Place) -> None:
    place.write("a", "one")
    digest = place.json("artifact", "put", "a")["digest"]
    for stored in place.directory.glob(f".daskflow/artifacts/objects/*/{digest}"):
        stored.unlink()
    assert digest in place.error("artifact", "get", "a", "copy", code=1)


def test_pins_keep_what_a_name_meant(place: Place) -> None:
    place.write("a", "one")
    first = place.json("artifact", "put", "a")["digest"]
    assert first in place.run("artifact", "pin", "a")
    place.write("a", "second")
    second = place.json("artifact", "put", "a")["digest"]
    rows = {row["digest"]: row for row in place.json("artifact", "ls")}
    assert [(rows[d]["named"], rows[d]["pinned"]) for d in (first, second)] == [(False, True), (True, False)]
    assert "(a)" in place.run("artifact", "ls")
    assert place.json("artifact", "get", first, "old")["size"] == 3
    assert (place.directory / "old").read_text() == "one"
    place.run("artifact", "unpin", "a")
    assert [row["digest"] for row in place.json("artifact", "ls")] == [second]
    assert "Nothing is pinned" in place.error("artifact", "unpin", "a")


def test_info_tells_who_refers(place: Place) -> None:
    place.write("flow.py", FLOW)
    run = place.json("run", "flow.py:study")["run"]
    [stored] = Path(place.directory, ".daskflow", "artifacts", "objects").glob("??/*")
    found = place.json("artifact", "info", stored.name)
    assert [(row["run"], row["name"]) for row in found["referring"]] == [(run, "many")]
    assert found["present"] is True
    assert run in place.run("artifact", "info", stored.name)
