from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daskflow.commands.outputs import checked_pattern, find, nearby
from daskflow.commands.scratch import Scratch
from daskflow.errors import PathRefused

FILES = [
    "log",
    "dump.2",
    "dump.10",
    ".hidden",
    "a/dump.1",
    "a/b/dump.1",
    "a/.b/dump.1",
    "sp ace",
    "new\nline",
    "q'uo\"te",
    "[x]",
    "é",
]


@pytest.fixture
def full(scratch: Scratch) -> Scratch:
    for name in FILES:
        scratch.write(name, name.encode())
    return scratch


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("log", ["log"]),
        ("dump.*", ["dump.10", "dump.2"]),
        ("./dump.?", ["dump.2"]),
        ("*/dump.1", ["a/dump.1"]),
        ("**/dump.1", ["a/b/dump.1", "a/dump.1"]),
        ("a/**", ["a/b/dump.1", "a/dump.1"]),
        ("**/**/dump.1*", ["a/b/dump.1", "a/dump.1", "dump.10"]),
        ("a/.b/*", ["a/.b/dump.1"]),
        (".h*", [".hidden"]),
        ("[[]x]", ["[x]"]),
        ("*[!a-z0-9]*e", ["new\nline", "q'uo\"te", "sp ace"]),
        ("é", ["é"]),
        ("nothing", []),
        ("log/x", []),
        ("n*/x", []),
        ("a", []),
    ],
)
def test_files(pattern: str, names: list[str], full: Scratch) -> None:
    found = find(full, pattern)
    assert [output.name for output in found] == names
    assert [output.path.read_text() for output in found] == names


def test_all_files(full: Scratch) -> None:
    assert [output.name for output in find(full, "**")] == sorted(
        name for name in FILES if "." not in (name[0], name[2:3])
    )


@pytest.mark.parametrize(("pattern", "names"), [("a", ["a"]), ("**", ["a", "a/b"]), ("*/b", ["a/b"]), ("log", [])])
def test_folders(pattern: str, names: list[str], full: Scratch) -> None:
    assert [output.name for output in find(full, pattern, folders=True)] == names


@pytest.mark.parametrize("pattern", ["", "/etc/*", "../*", "a/../../*", "a\0"])
def test_patterns_that_lead_out(pattern: str, scratch: Scratch) -> None:
    with pytest.raises(PathRefused):
        checked_pattern(pattern)
    with pytest.raises(PathRefused):
        find(scratch, pattern)


def test_links_inside_are_followed(full: Scratch) -> None:
    (full.work / "latest").symlink_to("dump.10")
    (full.work / "folder").symlink_to("a")
    (full.work / "a" / "loop").symlink_to(full.work)
    assert find(full, "latest")[0].path == full.work / "dump.10"
    assert [output.name for output in find(full, "folder/dump.*")] == ["folder/dump.1"]
    assert [output.name for output in find(full, "**/dump.1")] == ["a/b/dump.1", "a/dump.1"]


@pytest.mark.parametrize("target", ["/etc/passwd", "/etc", "../stdout", ".."])
def test_links_that_point_out(target: str, scratch: Scratch, tmp_path: Path) -> None:
    scratch.stdout.touch()
    (scratch.work / "out").symlink_to(target)
    for pattern in ("out", "o*"):
        with pytest.raises(PathRefused, match="'out' is a link that leads out"):
            find(scratch, pattern)
        with pytest.raises(PathRefused, match="'out' is a link that leads out"):
            find(scratch, pattern, folders=True)


def test_nothing_is_found_behind_a_link_that_points_out(scratch: Scratch, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").touch()
    (scratch.work / "out").symlink_to(tmp_path / "elsewhere")
    for pattern in ("out/*", "out/secret", "*/secret"):
        with pytest.raises(PathRefused, match="'out'"):
            find(scratch, pattern)
    assert find(scratch, "**/secret") == []


def test_links_that_point_out_are_passed_over_among_others(scratch: Scratch) -> None:
    (scratch.work / "a.dat").symlink_to("/etc/passwd")
    scratch.write("b.dat", b"")
    scratch.write("c/x.dat", b"")
    (scratch.work / "d").symlink_to("/etc")
    assert [output.name for output in find(scratch, "*.dat")] == ["b.dat"]
    assert [output.name for output in find(scratch, "*/*.dat")] == ["c/x.dat"]


def test_deep_trees(scratch: Scratch) -> None:
    make = "import os\nfor _ in range(2500):\n os.mkdir('d')\n os.chdir('d')\n open('log', 'w')"
    subprocess.run([sys.executable, "-c", make], cwd=scratch.work, check=True)
    # The system knows no longer paths.
    assert len(find(scratch, "**/**/log")) > 1000


def test_what_is_no_file(scratch: Scratch) -> None:
    os.mkfifo(scratch.work / "pipe")
    (scratch.work / "broken").symlink_to("nothing")
    (scratch.work / "circle").symlink_to("circle")
    assert find(scratch, "*") == find(scratch, "pipe") == find(scratch, "broken") == find(scratch, "circle") == []


def test_what_lies_nearby(scratch: Scratch) -> None:
    assert nearby(scratch) == "It is empty."
    for number in range(9):
        scratch.write(f"{number}/x", b"")
    assert nearby(scratch, 2) == "It holds '0/', '1/' and 7 more."
