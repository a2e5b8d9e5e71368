from __future__ import annotations

from collections.abc import Iterator

import pytest

from daskflow.artifacts.fetching.http import HttpSource
from daskflow.artifacts.fetching.sources import NOTHING, Broken, Reading, Seen
from daskflow.errors import FetchFailed
from tests.artifacts.web import Web, serving

DATA = bytes(range(256)) * 4000


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as made:
        yield made


def body(reading: Reading) -> bytes:
    return b"".join(map(bytes, reading.blocks))


def test_looking_transfers_nothing(web: Web) -> None:
    url = web.put("/x", DATA, '"1"', modified="Sat, 21 Nov 2026 12:00:00 GMT")
    assert HttpSource(url).look() == Seen('"1"', "Sat, 21 Nov 2026 12:00:00 GMT", len(DATA))
    assert web.sent == 0


def test_a_server_that_refuses_head_is_asked_by_get(web: Web) -> None:
    url = web.put("/x", b"some", '"1"', headless=True)
    assert HttpSource(url).look() == Seen('"1"', "", 4)


def test_what_stands_after_the_question_mark_counts(web: Web) -> None:
    web.put("/get?id=1", b"one")
    url = web.put("/get?id=2", b"two")
    assert body(HttpSource(url).read(0, NOTHING)) == b"two"


def test_reading_goes_on_in_the_middle(web: Web) -> None:
    url = web.put("/x", DATA, '"1"')
    reading = HttpSource(url).read(1000, Seen('"1"'))
    assert (reading.start, reading.seen) == (1000, Seen('"1"', "", len(DATA)))
    assert body(reading) == DATA[1000:]


@pytest.mark.parametrize(
    ("page", "known"),
    [
        ({"etag": '"2"'}, Seen('"1"')),
        ({"etag": '"1"', "ranges": False}, Seen('"1"')),
        ({"etag": 'W/"1"'}, Seen('W/"1"')),
        ({}, NOTHING),
    ],
    ids=["changed", "no ranges", "weak", "nothing known"],
)
def test_what_cannot_go_on_starts_anew(web: Web, page: dict[str, str], known: Seen) -> None:
    reading = HttpSource(web.put("/x", DATA, **page)).read(1000, known)
    assert reading.start == 0
    assert body(reading) == DATA


def test_a_part_behind_the_end_starts_anew(web: Web) -> None:
    url = web.put("/x", b"short", '"1"')
    web.answers = [416]
    assert body(HttpSource(url).read(1000, Seen('"1"'))) == b"short"


def test_a_body_that_breaks_off_gives_all_that_came(web: Web) -> None:
    url = web.put("/x", DATA)
    web.breaks = [123_456]
    came: list[bytes] = []
    with pytest.raises(Broken, match="broke off"):
        came.extend(map(bytes, HttpSource(url).read(0, NOTHING).blocks))
    assert b"".join(came) == DATA[:123_456]


@pytest.mark.parametrize("login", [("me", "ünsäglich"), ("", "a-token")])
def test_logging_in(web: Web, login: tuple[str, str]) -> None:
    url = web.put("/x", b"secret", login=":".join(filter(None, login)))
    assert body(HttpSource(url, login).read(0, NOTHING)) == b"secret"
    with pytest.raises(FetchFailed, match=r"401 Unauthorized\. Say `auth=credentials\('127\.0\.0\.1'\)`"):
        HttpSource(url).look()
    with pytest.raises(FetchFailed, match="does not accept these credentials") as caught:
        HttpSource(url, ("me", "hush")).look()
    assert "hush" not in str(caught.value)
    assert not isinstance(caught.value, Broken)


def test_a_login_is_not_taken_along_to_another_host(web: Web) -> None:
    with serving() as other:
        url = other.put("/x", b"theirs", login="me:hush")
        web.put("/x", b"", leads_to=url)
        with pytest.raises(FetchFailed, match="401"):
            HttpSource(web.url("/x"), ("me", "hush")).look()
        other.pages["/x"].login = ""
        assert body(HttpSource(web.url("/x"), ("me", "hush")).read(0, NOTHING)) == b"theirs"


def test_redirections_in_a_circle(web: Web) -> None:
    url = web.put("/x", b"", leads_to="/x")
    with pytest.raises(FetchFailed, match="too many redirects") as caught:
        HttpSource(url).look()
    assert not isinstance(caught.value, Broken)


@pytest.mark.parametrize(("status", "passes"), [(503, True), (429, True), (404, False), (410, False)])
def test_which_answers_are_worth_another_try(web: Web, status: int, passes: bool) -> None:
    web.answers = [status]
    with pytest.raises(FetchFailed, match=f"127.0.0.1.*answers {status}") as caught:
        HttpSource(web.url("/x")).look()
    assert isinstance(caught.value, Broken) is passes


def test_nobody_listens() -> None:
    with serving() as web:
        url = web.url("/x?token=hush")
    with pytest.raises(Broken, match=r"token=\*\*\* cannot be fetched: .*refused"):
        HttpSource(url).look()


def test_an_unknown_host() -> None:
    with pytest.raises(FetchFailed, match=r"no-such-host\.invalid/x cannot be fetched") as caught:
        HttpSource("http://no-such-host.invalid/x").look()
    assert not isinstance(caught.value, Broken)
