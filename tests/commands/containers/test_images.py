from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from daskflow.commands.containers.images import Image, image_digest
from daskflow.errors import ArtifactError, ContainerError

PINNED = "sha256:" + "0123456789abcdef" * 4


def contents(path: str) -> str:
    """Stands in for the digest of a file."""
    return Path(path).read_bytes().hex()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("python", "python"),
        ("python:3.12-slim", "python:3.12-slim"),
        ("docker://python:3.12", "python:3.12"),
        ("docker://localhost:5000/group/code:v1.2", "localhost:5000/group/code:v1.2"),
        (f"ghcr.io/group/code@{PINNED}", f"ghcr.io/group/code@{PINNED}"),
        # Only an ending makes a path of a text without / or . before it.
        ("images/code", "images/code"),
        ("docker://group/code.tar", "group/code.tar"),
    ],
)
def test_a_plain_text_is_a_reference(text: str, place: str) -> None:
    assert Image.named(text) == Image("reference", place)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("/images/code.sif", "sif"),
        ("code.SIF", "sif"),
        ("images/code.sqfs", "squashfs"),
        ("./code.tar.gz", "archive"),
        ("code.tgz", "archive"),
        ("./images/code", "directory"),
        ("~/images/code", "directory"),
        ("../code.v1", "directory"),
    ],
)
def test_a_path_is_known_by_how_it_begins_or_ends(text: str, kind: str) -> None:
    found = Image.named(text)
    assert found.kind == kind
    assert found.place == os.path.abspath(os.path.expanduser(text))


def test_a_path_object_is_always_a_path() -> None:
    assert Image.named(Path("code")) == Image("directory", os.path.abspath("code"))


@pytest.mark.parametrize("image", ["code:1", "docker://code.sif", "./code", "code.sif", Path("code")])
def test_its_text_names_it_in_other_directories_too(
    image: str | Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = Image.named(image)
    monkeypatch.chdir(tmp_path)
    assert Image.named(found.text) == found


@pytest.mark.parametrize("text", ["", "a b", "Python", "--privileged", "docker://", "http://host/code", "code:v 1"])
def test_what_names_no_image_is_refused(text: str) -> None:
    with pytest.raises(ContainerError, match="names no image"):
        Image.named(text)


def test_a_missing_image_and_an_unknown_file_are_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ContainerError, match=r"code\.sif is not there"):
        Image.named(tmp_path / "code.sif").check()
    with pytest.raises(ContainerError, match=r"notes\.txt is of no known kind"):
        Image.named(tmp_path / "notes.txt").check()
    Image.named(tmp_path).check()


def test_a_reference_counts_by_its_digest_or_else_its_text() -> None:
    assert (
        image_digest(f"group/code:v1@{PINNED}", contents) == image_digest(f"docker://code@{PINNED}", contents) == PINNED
    )
    assert image_digest("docker://python:3.12", contents) == "python:3.12"


def test_a_file_counts_by_its_contents(tmp_path: Path) -> None:
    (tmp_path / "code.sif").write_bytes(b"image")
    assert image_digest(tmp_path / "code.sif", contents) == b"image".hex()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    (made / "usr/bin").mkdir(parents=True)
    (made / "usr/bin/code").write_text("code")
    (made / "bin").symlink_to("usr/bin")
    return made


def _link(tree: Path) -> None:
    (tree / "bin").unlink()
    (tree / "bin").symlink_to("/usr/bin")


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda tree: (tree / "usr/bin/code").write_text("edoc"),
    "mode": lambda tree: (tree / "usr/bin/code").chmod(0o755),
    "name": lambda tree: (tree / "usr/bin/code").rename(tree / "usr/bin/other"),
    "link": _link,
    "more": lambda tree: (tree / "usr/more").touch(),
    "pipe": lambda tree: os.mkfifo(tree / "usr/pipe"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_all_of_a_directory_counts(change: str, tree: Path) -> None:
    before = image_digest(tree, contents)
    CHANGES[change](tree)
    assert image_digest(tree, contents) != before


def test_where_a_directory_lies_and_where_something_is_mounted_does_not_count(tree: Path) -> None:
    before = image_digest(tree, contents)
    (tree / "scratch").mkdir()
    tree.rename(moved := tree.with_name("moved"))
    assert image_digest(moved, contents) == before


def test_links_are_not_followed(tree: Path) -> None:
    (tree / "loop").symlink_to(".")
    (tree / "nowhere").symlink_to("/nowhere")
    assert image_digest(tree, contents)


def test_what_cannot_be_read_is_told(tree: Path) -> None:
    def fails(path: str) -> str:
        raise ArtifactError(f"{path} vanished")

    with pytest.raises(ContainerError, match=r"tree cannot be read: .*vanished"):
        image_digest(tree, fails)
