from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.commands.containers.call import Bind, Call, above, make_place
from daskflow.errors import ContainerError


def call(place: str = "/scratch/a", **changes: object) -> Call:
    scratch = Path(place)
    given = {
        "work": scratch / "work",
        "temporary": scratch / "tmp",
        "aside": scratch / "aside",
        "cwd": scratch / "work",
    }
    return Call(command=["true"], **{**given, **changes})  # type: ignore[arg-type]


def test_binds_are_read_only_unless_they_say_otherwise() -> None:
    assert Bind.parse("/data") == Bind("/data", "/data")
    assert Bind.parse("/data:ro") == Bind("/data", "/data")
    assert Bind.parse("/data:/mnt:rw") == Bind("/data", "/mnt", writable=True)


@pytest.mark.parametrize("text", ["", "data", "/data:mnt", "/data:/mnt:rw:rw", "/a:/b:/c", "/data:"])
def test_what_is_no_bind_is_refused(text: str) -> None:
    with pytest.raises(ContainerError, match="is no bind"):
        Bind.parse(text)


def test_scratch_is_shown_where_it_lies_and_temporary_files_as_tmp_too() -> None:
    assert call().mounts() == [
        Bind("/scratch/a/tmp", "/scratch/a/tmp", writable=True),
        Bind("/scratch/a/work", "/scratch/a/work", writable=True),
        Bind("/scratch/a/tmp", "/tmp", writable=True),
    ]


def test_what_lies_in_another_is_mounted_after_it() -> None:
    targets = [bind.target for bind in call("/tmp/a", binds=[Bind("/x", "/tmp/a/work/x"), Bind("/y", "/")]).mounts()]
    assert targets == ["/", "/tmp", "/tmp/a/tmp", "/tmp/a/work", "/tmp/a/work/x"]


def test_of_two_binds_at_one_place_the_later_one_counts() -> None:
    binds = [Bind("/data", "/data"), Bind("/data", "/data", writable=True), Bind("/x", "/scratch/a/work")]
    assert [bind for bind in call(binds=binds).mounts() if bind.target in ("/data", "/scratch/a/work")] == [
        Bind("/data", "/data", writable=True),
        Bind("/scratch/a/work", "/scratch/a/work", writable=True),
    ]


def test_home_is_the_work_directory_unless_the_job_says_otherwise() -> None:
    assert call().variables() == {"HOME": "/scratch/a/work"}
    assert call(env={"HOME": "/root", "A": "1"}).variables() == {"HOME": "/root", "A": "1"}


def test_a_path_with_a_colon_is_refused() -> None:
    with pytest.raises(ContainerError, match="has a colon"):
        call("/scratch/12:30").mounts()


def test_the_nearest_bind_in_which_a_target_lies() -> None:
    binds = [Bind("/1", "/"), Bind("/2", "/tmp"), Bind("/3", "/tmp/a"), Bind("/4", "/tmp/abc")]
    assert above("/tmp/a/b", binds) == Bind("/3", "/tmp/a")
    assert above("/tmp/ab", binds) == Bind("/2", "/tmp")
    assert above("/", binds) is None


def test_a_place_is_of_the_kind_of_what_is_mounted_there(tmp_path: Path) -> None:
    outer = Bind(str(tmp_path), "/tmp")
    make_place(Bind(str(tmp_path), "/tmp/a/folder"), outer)
    make_place(Bind(__file__, "/tmp/b/file"), outer)
    assert (tmp_path / "a/folder").is_dir()
    assert (tmp_path / "b/file").is_file()
    with pytest.raises(ContainerError, match="/tmp/b/file/c cannot be shown"):
        make_place(Bind(__file__, "/tmp/b/file/c"), outer)
