import hashlib
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import SecretStr

from daskflow.artifacts.names import Names
from daskflow.artifacts.store import ObjectStore
from daskflow.execution.agents.archive import Archivist
from daskflow.execution.served import ServedStore
from daskflow.model.access import Scope
from daskflow.model.work import Work, WorkStatus
from daskflow.stores.buckets.freight import Freight
from daskflow.stores.buckets.line import Line
from daskflow.stores.database import Database
from daskflow.stores.tokens import Tokens
from tests.execution.agents.conftest import make
from tests.services.servers import serving


def succeeded(there: Path, products: list[str], strategy: str = "copy", **fields: Any) -> Work:
    """A work that made some files, with their own names as contents."""
    work = make(config={"archive": {"products": strategy, "plots": strategy}}, creation=1795338331.0, **fields)
    work.id, work.attempt, work.status = "ab12", 1, WorkStatus.success
    work.products = products
    for path in products:
        (there / path).parent.mkdir(parents=True, exist_ok=True)
        (there / path).write_text(f"content of {path}")
    return work


def kept(archivist: Archivist, work: Work, log: Path) -> None:
    archivist.clear(archivist.keep(work, log))


@pytest.fixture
def archivist(tmp_path: Path) -> Archivist:
    return Archivist(tmp_path / "archive", lambda: ObjectStore(tmp_path / "store"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.txt"


def test_a_copy_lies_below_day_pipeline_and_id(archivist: Archivist, there: Path, tmp_path: Path, log: Path) -> None:
    work = succeeded(there, ["fit.h5"])
    kept(archivist, work, log)
    assert work.products == [str(tmp_path / "archive/20261122/sample/ab12/fit.h5")]
    assert Path(work.products[0]).read_text() == "content of fit.h5"
    assert (there / "fit.h5").exists()


def test_a_moved_file_is_deleted_only_when_the_work_is_written(
    archivist: Archivist, there: Path, tmp_path: Path, log: Path
) -> None:
    work = succeeded(there, ["fit.h5"], "move")
    rest = archivist.keep(work, log)
    assert (there / "fit.h5").exists()
    archivist.clear(rest)
    assert not (there / "fit.h5").exists()
    assert work.products is not None
    assert Path(work.products[0]).read_text() == "content of fit.h5"


def test_what_is_to_be_deleted_is_gone_from_the_work_too(archivist: Archivist, there: Path, log: Path) -> None:
    work = succeeded(there, ["fit.h5"], "delete")
    kept(archivist, work, log)
    assert work.products == []
    assert not (there / "fit.h5").exists()


def test_what_is_to_be_bypassed_stays(archivist: Archivist, there: Path, log: Path) -> None:
    work = succeeded(there, ["fit.h5"], "bypass")
    kept(archivist, work, log)
    assert work.products == ["fit.h5"]
    assert (there / "fit.h5").exists()


@pytest.mark.parametrize("strategy", ["copy", "move", "upload"])
def test_without_an_archive_all_is_left_where_it_is(there: Path, log: Path, strategy: str) -> None:
    work = succeeded(there, ["fit.h5"], strategy)
    kept(Archivist(), work, log)
    # Whoever reads the work is in another directory.
    assert (work.products, work.status) == ([str(there / "fit.h5")], WorkStatus.success)
    assert (there / "fit.h5").exists()


@pytest.mark.parametrize("strategy", ["copy", "move", "upload", "delete"])
def test_what_is_missing_fails_a_work_without_an_archive_too(there: Path, log: Path, strategy: str) -> None:
    work = succeeded(there, ["fit.h5"], strategy)
    work.plots = ["not/there.png"]
    kept(Archivist(), work, log)
    assert work.status is WorkStatus.failure
    assert work.error == "There is no 'not/there.png', which the work names among its plots."
    assert (there / "fit.h5").exists()


@pytest.mark.parametrize("strategy", ["copy", "move", "upload", "delete"])
def test_urls_and_names_of_artifacts_are_taken_as_they_are(
    archivist: Archivist, there: Path, log: Path, strategy: str
) -> None:
    named = ["https://example.org/fit.h5", "artifact:fits/1", "s3://bucket/fit.h5"]
    for one in (archivist, Archivist()):
        work = succeeded(there, [], strategy)
        work.products = list(named)
        kept(one, work, log)
        assert (work.products, work.status) == (named, WorkStatus.success)


def test_what_is_to_be_bypassed_need_not_be_there(archivist: Archivist, there: Path, log: Path) -> None:
    for one in (archivist, Archivist()):
        work = succeeded(there, [], "bypass")
        work.products = ["not/there.h5"]
        kept(one, work, log)
        assert (work.products, work.status) == (["not/there.h5"], WorkStatus.success)


def test_uploads_are_artifacts(archivist: Archivist, there: Path, tmp_path: Path, log: Path) -> None:
    work = succeeded(there, ["fit.h5"], "upload")
    kept(archivist, work, log)
    assert work.products == ["artifact:works/20261122/sample/ab12/fit.h5"]
    store = ObjectStore(tmp_path / "store")
    found = Names(store).look(work.products[0].removeprefix("artifact:"))
    assert found is not None
    assert bytes(store.get(found.digest)) == b"content of fit.h5"


def content(store: ObjectStore, path: str) -> bytes:
    found = Names(store).look(path.removeprefix("artifact:"))
    assert found is not None
    assert found.name == path.removeprefix("artifact:")
    return bytes(store.get(found.digest))


def test_names_of_artifacts_stand_for_what_they_stood_for(there: Path, tmp_path: Path, log: Path) -> None:
    store = ObjectStore(tmp_path / "store")
    archivist = Archivist(store=lambda: store, uploads=True)
    first = succeeded(there, ["fit.tar.gz"])
    kept(archivist, first, log)
    same = succeeded(there, ["fit.tar.gz"], "upload")
    kept(archivist, same, log)
    assert same.products == first.products == ["artifact:works/20261122/sample/ab12/fit.tar.gz"]
    other = succeeded(there, ["other/fit.tar.gz"], "upload")
    kept(archivist, other, log)
    assert other.products == ["artifact:works/20261122/sample/ab12/fit-2.tar.gz"]
    assert content(store, first.products[0]) == b"content of fit.tar.gz"
    assert content(store, other.products[0]) == b"content of other/fit.tar.gz"
    kept(archivist, again := succeeded(there, ["other/fit.tar.gz"], "upload"), log)
    assert again.products == other.products


def test_a_directory_and_a_file_of_one_name_are_two_artifacts(there: Path, tmp_path: Path, log: Path) -> None:
    store = ObjectStore(tmp_path / "store")
    archivist = Archivist(store=lambda: store, uploads=True)
    tree = succeeded(there, ["a/cube/1.dat"])
    tree.products = ["a/cube"]
    kept(archivist, tree, log)
    kept(archivist, file := succeeded(there, ["b/cube"]), log)
    named = [Names(store).find(name) for name in Names(store).list()]
    assert [(one.name.rpartition("/")[2], one.kind) for one in named] == [("cube", "tree"), ("cube-2", "file")]
    assert file.products == [f"artifact:{named[1].name}"]


@pytest.mark.parametrize("uploads", [True, False])
def test_a_product_with_the_name_of_the_log_leaves_the_log(
    there: Path, tmp_path: Path, log: Path, *, uploads: bool
) -> None:
    store = ObjectStore(tmp_path / "store")
    archivist = Archivist(tmp_path / "archive", lambda: store, uploads=uploads)
    log.write_text("a long story\n")
    work = succeeded(there, ["log-1.txt"])
    kept(archivist, work, log)
    assert work.products is not None
    (path,) = work.products
    assert path.endswith("/log-1-2.txt")
    if uploads:
        assert content(store, path) == b"content of log-1.txt"
        assert content(store, path.replace("-1-2", "-1")) == b"a long story\n"
    else:
        assert Path(path).read_text() == "content of log-1.txt"
        assert Path(path).with_name("log-1.txt").read_text() == "a long story\n"


def test_of_several_that_archive_at_once_each_has_a_name_of_its_own(there: Path, tmp_path: Path, log: Path) -> None:
    works = [succeeded(there, [f"{number}/fit.h5"]) for number in range(6)]
    begin = threading.Barrier(len(works))

    def archive(work: Work) -> None:
        archivist = Archivist(store=lambda: ObjectStore(tmp_path / "store"), uploads=True)
        begin.wait(timeout=60)
        kept(archivist, work, log)

    with ThreadPoolExecutor(len(works)) as pool:
        list(pool.map(archive, works))
    store = ObjectStore(tmp_path / "store")
    assert len(Names(store).list("works/")) == len(works)
    for number, work in enumerate(works):
        assert work.products is not None
        assert content(store, work.products[0]) == f"content of {number}/fit.h5".encode()


def test_the_artifacts_of_a_server_are_not_written_over_either(there: Path, tmp_path: Path, log: Path) -> None:
    inside = ObjectStore(tmp_path / "artifacts")
    with Database(tmp_path / "journal.db") as database:
        _, token = Tokens(database).create("agent", [Scope.perform])
    with serving(tmp_path, artifacts=inside.url, server={"open": False}) as service:
        line = Line(service.url, SecretStr(token), patience=5.0)
        freight = Freight(line)
        archivist = Archivist(store=lambda: ServedStore(freight), uploads=True)
        works = [succeeded(there, [f"{place}/fit.h5"]) for place in ("a", "b", "a")]
        for work in works:
            kept(archivist, work, log)
        freight.close()
        line.close()
    names = [path.rpartition("/")[2] for work in works for path in work.products or ()]
    assert names == ["fit.h5", "fit-2.h5", "fit.h5"]
    assert works[0].products is not None
    assert content(inside, works[0].products[0]) == b"content of a/fit.h5"


def test_copies_may_go_to_the_artifact_store(there: Path, tmp_path: Path, log: Path) -> None:
    work = succeeded(there, ["fit.h5"], "move")
    kept(Archivist(store=lambda: ObjectStore(tmp_path / "store"), uploads=True), work, log)
    assert work.products == ["artifact:works/20261122/sample/ab12/fit.h5"]
    assert not (there / "fit.h5").exists()


def test_files_of_one_name_from_two_directories_both_stay(archivist: Archivist, there: Path, log: Path) -> None:
    work = succeeded(there, ["a/fit.tar.gz", "b/fit.tar.gz"])
    (there / "c").mkdir()
    shutil.copy(there / "a/fit.tar.gz", there / "c/fit.tar.gz")
    work.plots = ["c/fit.tar.gz"]
    kept(archivist, work, log)
    assert work.products is not None
    assert work.plots is not None
    places = [Path(path) for path in [*work.products, *work.plots]]
    assert [place.name for place in places] == ["fit.tar.gz", "fit-2.tar.gz", "fit-3.tar.gz"]
    assert [place.read_text() for place in places] == [
        "content of a/fit.tar.gz",
        "content of b/fit.tar.gz",
        "content of a/fit.tar.gz",
    ]


def test_nothing_in_the_archive_is_written_over(archivist: Archivist, there: Path, log: Path) -> None:
    first = succeeded(there, ["fit.h5"])
    kept(archivist, first, log)
    again = succeeded(there, ["fit.h5"])
    kept(archivist, again, log)
    assert again.products == first.products
    (there / "fit.h5").write_text("another content")
    other = make(config={}, creation=1795338331.0)
    other.id, other.status, other.products = "ab12", WorkStatus.success, ["fit.h5"]
    kept(archivist, other, log)
    assert first.products is not None
    assert other.products is not None
    assert Path(first.products[0]).read_text() == "content of fit.h5"
    assert Path(other.products[0]).name == "fit-2.h5"


@pytest.mark.parametrize("strategy", ["copy", "move"])
def test_directories_are_archived_whole(archivist: Archivist, there: Path, log: Path, strategy: str) -> None:
    work = succeeded(there, ["cube/a/1.dat", "cube/2.dat"], strategy)
    work.products = ["cube"]
    (there / "cube/link").symlink_to("2.dat")
    kept(archivist, work, log)
    place = Path(work.products[0])
    assert (place / "a/1.dat").read_text() == "content of cube/a/1.dat"
    assert (place / "link").read_text() == "content of cube/2.dat"
    assert (there / "cube").exists() is (strategy == "copy")
    again = succeeded(there, ["cube/other"])
    again.products = ["cube"]
    kept(archivist, again, log)
    assert Path(again.products[0]).name == "cube-2"


def test_a_link_is_archived_as_what_it_points_to(archivist: Archivist, there: Path, log: Path) -> None:
    work = succeeded(there, ["real.h5"], "move")
    (there / "fit.h5").symlink_to("real.h5")
    work.products = ["fit.h5"]
    kept(archivist, work, log)
    assert Path(work.products[0]).read_text() == "content of real.h5"
    assert not Path(work.products[0]).is_symlink()
    assert (there / "real.h5").exists()
    assert not (there / "fit.h5").is_symlink()


def test_a_file_that_is_not_there_fails_the_work(archivist: Archivist, there: Path, tmp_path: Path, log: Path) -> None:
    work = succeeded(there, ["fit.h5"], "move")
    work.plots = ["gone.png"]
    kept(archivist, work, log)
    assert work.status is WorkStatus.failure
    assert work.error == "There is no 'gone.png', which the work names among its plots."
    assert (there / "fit.h5").exists()
    assert not (tmp_path / "archive").exists()


def test_what_cannot_be_archived_is_left_and_the_log_says_so(there: Path, tmp_path: Path, log: Path) -> None:
    (tmp_path / "archive").write_text("no directory")
    work = succeeded(there, ["fit.h5"], "move", log="as usual\n")
    kept(Archivist(tmp_path / "archive"), work, log)
    assert work.status is WorkStatus.success
    assert work.products == [str(there / "fit.h5")]
    assert (there / "fit.h5").exists()
    assert work.log is not None
    assert work.log.startswith("as usual\ndaskflow: fit.h5 is not archived, and left where it is: ")


def test_on_a_full_disk_the_original_stays_and_no_half_a_copy(
    archivist: Archivist, there: Path, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Any, target: Any) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    work = succeeded(there, ["fit.h5"])
    kept(archivist, work, log)
    assert work.products == [str(there / "fit.h5")]
    assert "No space left" in str(work.log)
    assert list((tmp_path / "archive/20261122/sample/ab12").iterdir()) == []


def test_a_copy_that_differs_is_not_kept(
    archivist: Archivist, there: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "copyfile", lambda source, target: Path(target).write_bytes(b"other"))
    work = succeeded(there, ["fit.h5"])
    kept(archivist, work, log)
    assert work.products == [str(there / "fit.h5")]
    assert "differs" in str(work.log)


def test_moving_to_another_file_system_copies(
    archivist: Archivist, there: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", elsewhere)
    work = succeeded(there, ["fit.h5", "other/fit.h5"], "move")
    kept(archivist, work, log)
    assert work.products is not None
    assert [Path(path).read_text() for path in work.products] == ["content of fit.h5", "content of other/fit.h5"]
    assert not (there / "fit.h5").exists()


def test_what_lies_in_the_archive_stays_there(archivist: Archivist, there: Path, tmp_path: Path, log: Path) -> None:
    for strategy in ("copy", "move"):
        work = succeeded(tmp_path, ["archive/own/fit.h5"], strategy)
        place = str(tmp_path / "archive/own/fit.h5")
        work.products = [place]
        kept(archivist, work, log)
        assert work.products == [place]
        assert Path(place).exists()


def test_urls_are_left_as_they_are(archivist: Archivist, there: Path, log: Path) -> None:
    work = succeeded(there, [])
    work.products = ["s3://bucket/fit.h5", "artifact:fits/1"]
    kept(archivist, work, log)
    assert work.products == ["s3://bucket/fit.h5", "artifact:fits/1"]


def test_the_whole_log_goes_to_the_archive_whatever_the_end(archivist: Archivist, tmp_path: Path, log: Path) -> None:
    log.write_text("a long story\n")
    work = make()
    work.id, work.attempt, work.status, work.creation = "ab12", 3, WorkStatus.failure, 1795338331.0
    kept(archivist, work, log)
    assert (tmp_path / "archive/20261122/sample/ab12/log-3.txt").read_text() == "a long story\n"


@pytest.mark.parametrize("strategy", ["copy", "move"])
def test_who_may_read_the_products_may_read_the_log(
    archivist: Archivist, there: Path, log: Path, *, strategy: Literal["copy", "move"]
) -> None:
    log.touch(mode=0o600)
    log.write_text("a long story\n")
    work = succeeded(there, ["fit.h5"])
    work.config.archive.logs = strategy
    kept(archivist, work, log)
    assert work.products is not None
    product = Path(work.products[0])
    assert product.with_name("log-1.txt").stat().st_mode == product.stat().st_mode


def test_a_log_that_is_to_be_deleted_is_nowhere(archivist: Archivist, tmp_path: Path, log: Path) -> None:
    log.write_text("a secret story\n")
    work = make(config={"archive": {"logs": "delete"}}, log="a secret story\n")
    work.id, work.status = "ab12", WorkStatus.success
    kept(archivist, work, log)
    assert work.log is None
    assert not (tmp_path / "archive").exists()


def test_who_is_to_stop_is_asked_between_files(archivist: Archivist, there: Path, log: Path) -> None:
    class Stopped(BaseException):
        pass

    def stop() -> None:
        raise Stopped

    work = succeeded(there, ["fit.h5"], "move")
    with pytest.raises(Stopped):
        archivist.keep(work, log, stop)
    assert (there / "fit.h5").exists()


def test_the_digest_of_a_copy_is_that_of_the_original(archivist: Archivist, there: Path, log: Path) -> None:
    work = succeeded(there, ["large.bin"])
    (there / "large.bin").write_bytes(os.urandom(3 << 20))
    digest = hashlib.sha256((there / "large.bin").read_bytes()).hexdigest()
    kept(archivist, work, log)
    assert work.products is not None
    assert hashlib.sha256(Path(work.products[0]).read_bytes()).hexdigest() == digest


def test_what_lies_in_the_archive_by_way_of_a_link_is_not_deleted(there: Path, tmp_path: Path, log: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    for way in (tmp_path / "link", tmp_path / "disk"):
        archivist = Archivist(tmp_path / "link")
        work = succeeded(there, ["fit.h5"], "move")
        kept(archivist, work, log)
        assert work.products is not None
        name = str(Path(work.products[0]).relative_to(tmp_path / "link"))
        for strategy in ("move", "delete"):
            again = succeeded(there, [], strategy)
            again.products = [str(way / name)]
            kept(archivist, again, log)
        assert (way / name).read_text() == "content of fit.h5"


def test_what_is_kept_under_another_name_of_its_directory_is_not_deleted(
    archivist: Archivist, there: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = succeeded(there, ["fit.h5"], "move")
    kept(archivist, work, log)
    assert work.products is not None
    place = Path(work.products[0])
    # As where the archive is mounted at two places: no path tells that they are one.
    monkeypatch.setattr(Archivist, "holds", lambda self, path: False)
    again = succeeded(there, [], "move")
    again.products = [str(place)]
    kept(archivist, again, log)
    assert place.read_text() == "content of fit.h5"
    folder = place.parent / "tree"
    folder.mkdir()
    (folder / "a").write_text("a")
    again.products = [str(folder)]
    kept(archivist, again, log)
    assert (folder / "a").exists()
