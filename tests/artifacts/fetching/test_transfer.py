from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daskflow.artifacts.contents.digests import digest_bytes
from daskflow.artifacts.fetching import transfer
from daskflow.artifacts.fetching.downloads import Note, Shelf
from daskflow.artifacts.fetching.sources import Seen
from daskflow.artifacts.fetching.transfer import CONTENT, Wanted, bring
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import FetchFailed
from tests.artifacts.web import Web, serving
from tests.execution.patience import until

DATA = bytes(range(256)) * 4000
SHA = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(transfer, "_PAUSE", 0.0)
    with serving() as made:
        yield made


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path)


def left_over(store: ObjectStore) -> list[str]:
    return [path.name for path in store.folder("incoming").iterdir()]


def test_a_file_is_brought_once(web: Web, store: ObjectStore) -> None:
    url = web.put("/x", DATA, '"1"')
    note = bring(Wanted(url, 'etag "1"'), store, 0)
    assert note == Note('etag "1"', digest_bytes(DATA), len(DATA), '"1"')
    assert bytes(store.get(note.digest)) == DATA
    assert bring(Wanted(url, 'etag "1"'), store, 0) == note
    assert web.methods() == ["GET"]
    assert bring(Wanted(url), store, 0) == note, "whatever is there now: the server is asked, and tells"
    assert web.methods() == ["GET", "HEAD"]


def test_a_new_state_is_brought(web: Web, store: ObjectStore) -> None:
    url = web.put("/x", b"one", '"1"')
    bring(Wanted(url), store, 0)
    web.put("/x", b"other", '"2"')
    assert bring(Wanted(url, 'etag "2"'), store, 0).digest == digest_bytes(b"other")
    with pytest.raises(FetchFailed, match="changed since the flow asked"):
        bring(Wanted(url, 'etag "1"'), store, 0)


def test_a_server_that_tells_nothing_is_asked_each_time(web: Web, store: ObjectStore) -> None:
    url = web.put("/x", b"one")
    bring(Wanted(url), store, 0)
    web.put("/x", b"two")
    assert bring(Wanted(url), store, 0).digest == digest_bytes(b"two")


def test_a_broken_transfer_goes_on_where_it_was(web: Web, store: ObjectStore) -> None:
    url = web.put("/x", DATA, '"1"')
    web.breaks = [100_000, 200_000]
    assert bring(Wanted(url), store, 2).digest == digest_bytes(DATA)
    assert web.gets() == ["", "bytes=100000-", "bytes=300000-"]
    assert web.sent == len(DATA)


def test_a_file_that_changes_meanwhile_starts_anew(web: Web, store: ObjectStore) -> None:
    url = web.put("/x", b"x" * len(DATA), '"1"')
    web.breaks = [100_000]
    with pytest.raises(FetchFailed, match="tried 1 times"):
        bring(Wanted(url), store, 0)
    web.put("/x", DATA, '"2"')
    assert bring(Wanted(url), store, 0) == Note('etag "2"', digest_bytes(DATA), len(DATA), '"2"')


def test_a_busy_server_is_asked_again_and_one_that_refuses_is_not(web: Web, store: ObjectStore) -> None:
    url = web.put("/x", DATA, '"1"')
    web.answers = [503, 429]
    bring(Wanted(url), store, 2)
    assert len(web.asked) == 3
    with pytest.raises(FetchFailed, match="404"):
        bring(Wanted(web.url("/nowhere")), store, 2)
    assert len(web.asked) == 4


def test_retries_come_to_an_end(web: Web, store: ObjectStore) -> None:
    web.answers = [503] * 10
    with pytest.raises(FetchFailed, match=r"503 Service Unavailable\. It was tried 3 times\."):
        bring(Wanted(web.url("/x")), store, 2)
    assert len(web.asked) == 3


def test_a_checksum_needs_no_question(web: Web, store: ObjectStore) -> None:
    url = web.put("/x", DATA)
    note = bring(Wanted(url, checksum=SHA), store, 0)
    assert note.checksum == SHA
    assert bring(Wanted(url, checksum=SHA), store, 0) == note
    assert len(web.asked) == 1


def test_of_a_wrong_checksum_nothing_is_kept(web: Web, store: ObjectStore) -> None:
    url = web.put("/x", b"other", '"1"')
    with pytest.raises(FetchFailed, match=rf"has the checksum sha256:.* instead of {SHA}; nothing was kept"):
        bring(Wanted(url, checksum=SHA), store, 3)
    assert left_over(store) == []
    assert not store.exists(digest_bytes(b"other"))
    assert len(web.asked) == 1


def test_a_local_file_is_the_one_that_was_asked_for(tmp_path: Path, store: ObjectStore) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"one")
    wanted = Wanted(file.as_uri(), CONTENT + digest_bytes(b"one"))
    note = bring(wanted, store, 0)
    assert bytes(store.get(note.digest)) == b"one"
    file.write_bytes(b"two")
    assert bring(wanted, store, 0) == note, "it is here"
    store.remove(note.digest)
    with pytest.raises(FetchFailed, match="changed since the flow asked"):
        bring(wanted, store, 0)
    assert left_over(store) == []


def test_many_threads_transfer_once(web: Web, store: ObjectStore) -> None:
    url = web.put("/x", DATA, '"1"')
    with ThreadPoolExecutor(6) as pool:
        notes = list(pool.map(lambda _: bring(Wanted(url), store, 0), range(6)))
    assert len(set(notes)) == 1
    assert web.sent == len(DATA)


def start(store: ObjectStore, url: str) -> subprocess.Popen[str]:
    code = (
        "import sys\n"
        "from daskflow.artifacts.store import ObjectStore\n"
        "from daskflow.artifacts.fetching.transfer import Wanted, bring\n"
        "print(bring(Wanted(sys.argv[2]), ObjectStore(sys.argv[1]), 0).digest)\n"
    )
    return subprocess.Popen([sys.executable, "-c", code, store.url, url], stdout=subprocess.PIPE, text=True)


def test_two_processes_transfer_once(web: Web, store: ObjectStore) -> None:
    url = web.put("/x", DATA, '"1"')
    both = [start(store, url) for _ in range(2)]
    assert [process.communicate(timeout=60)[0].strip() for process in both] == [digest_bytes(DATA)] * 2
    assert web.sent == len(DATA)


def test_after_a_kill_the_next_process_goes_on_at_the_missing_byte(web: Web, store: ObjectStore) -> None:
    url = web.put("/x", DATA, '"1"')
    web.breaks, web.hold = [300_000], threading.Event()
    with start(store, url) as process:
        until(lambda: any(path.stat().st_size == 300_000 for path in store.folder("incoming").glob("*.part")))
        os.kill(process.pid, signal.SIGKILL)
    web.hold.set()
    assert bring(Wanted(url), store, 0).digest == digest_bytes(DATA)
    assert web.gets() == ["", "bytes=300000-"]


def test_a_kill_between_the_last_byte_and_the_end(web: Web, store: ObjectStore) -> None:
    url = web.put("/x", DATA, '"1"')
    shelf = Shelf(store, url)
    with shelf.writing(0, Seen('"1"', size=len(DATA))) as file:
        file.write(DATA)
    assert bring(Wanted(url, 'etag "1"'), store, 0).digest == digest_bytes(DATA)
    assert web.asked == []


def test_a_login_is_not_shown() -> None:
    assert "hush" not in repr(Wanted("https://a.org/x?token=hush", login=("me", "hush")))
