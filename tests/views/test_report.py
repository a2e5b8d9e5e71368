"""The report of a run: complete, on its own, and no place for hostile text."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from daskflow import report
from daskflow.errors import NotFound
from daskflow.views.report import MOST_ROWS, linkable, markdown, render, write_report
from tests.conftest import Lab

PIXEL = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xff\xff?\x00\x05\xfe\x02\xfe\xa75\x81\x84\x00\x00\x00\x00IEND\xaeB`\x82"
)
HOSTILE = "<script>alert('x')</script>"
_LOADING = {"script": "src", "link": "href", "img": "src", "iframe": "src", "object": "data", "video": "src"}
_VOID = {"meta", "link", "img", "br", "hr", "input", "rect", "circle", "path"}


class Page(HTMLParser):
    """What a page loads, which elements it has, and the text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.elements: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        found = dict(attrs)
        self.loads += [value for name in [_LOADING.get(tag, "")] if (value := found.get(name))]
        self.links += [value for value in [found.get("href")] if tag == "a" and value]
        assert not [name for name in found if name.startswith("on")], "an element has a handler"
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open):
            self.text += data


@pytest.fixture
def finished(lab: Lab) -> tuple[Lab, Any]:
    """A run with reports of all kinds, a failure, and hostile text wherever text can be."""

    @lab.task
    def load(number: int) -> int:
        return number

    @lab.task
    def show(number: int) -> int:
        report.metric("rms", 1.25, unit="Jy")
        report.markdown(f"# Found\n\n**bold** {HOSTILE} ![pixel](http://example.org/pixel.png)", title=HOSTILE)
        report.table([{"name": HOSTILE, "value": 1.5}], title="Numbers")
        report.image(PIXEL, title="Image")
        report.link("https://example.org/page", title="good link")
        report.link("javascript:alert(1)", title="bad link")
        return number

    @lab.task
    def fail(number: int) -> int:
        print(f"about to fail {HOSTILE} \x1b[31mred\x1b[0m")
        raise ValueError(f"wrong {HOSTILE}")

    @lab.task
    def after(number: int) -> int:
        return number

    @lab.flow
    def study(label: str) -> Any:
        return after(fail(show(load(1))))

    run = lab.launcher.start(study, {"label": HOSTILE}, background=False)
    return lab, run


def test_everything_is_there(finished: tuple[Lab, Any]) -> None:
    lab, run = finished
    page = Page(render(lab.project, run.id))
    words = (
        "study|rms|1.25 Jy|Found|Numbers|good link|ValueError: wrong|job.failed|about to fail|raise ValueError|skipped"
    )
    for word in (run.id, "peak memory", "site synchronous", *words.split("|")):
        assert word in page.text
    assert page.elements.count("svg") == 1
    assert page.elements.count("table") >= 4


def test_nothing_is_loaded_from_the_network(finished: tuple[Lab, Any]) -> None:
    lab, run = finished
    text = render(lab.project, run.id)
    page = Page(text)
    assert [load for load in page.loads if not load.startswith("data:")] == []
    assert len(page.loads) == 1
    assert "default-src 'none'" in text
    assert not re.search(r"@import|url\(\s*['\"]?http", text.split("</style>")[0])


def test_hostile_text_is_text(finished: tuple[Lab, Any]) -> None:
    lab, run = finished
    text = render(lab.project, run.id)
    assert "<script>alert" not in text
    page = Page(text)
    assert page.text.count(HOSTILE) >= 6
    assert [link for link in page.links if link.startswith("javascript:")] == []
    assert "javascript:alert(1)" in page.text
    assert "\x1b" not in text


def test_cached_jobs_still_have_their_reports(lab: Lab) -> None:
    @lab.task
    def show(number: int) -> int:
        report.markdown("remembered")
        return number

    @lab.flow
    def study() -> Any:
        return show(1)

    study()
    study()
    text = render(lab.project, "last")
    assert "remembered" in text
    assert "bokeh" not in text.lower()
    assert "known since run" in text


def test_a_run_without_jobs_has_a_report(lab: Lab) -> None:
    @lab.flow
    def empty() -> int:
        return 1

    empty()
    assert "empty" in Page(render(lab.project, "last")).text


def test_error_of_the_body_is_shown(lab: Lab) -> None:
    @lab.flow
    def bad() -> int:
        raise RuntimeError(HOSTILE)

    with pytest.raises(RuntimeError):
        bad()
    assert HOSTILE in Page(render(lab.project, "last")).text


def test_many_jobs_are_cut_with_a_note(lab: Lab) -> None:
    @lab.task
    def one(number: int) -> int:
        return number

    @lab.flow
    def many() -> Any:
        return one.map(range(MOST_ROWS + 5))

    many()
    page = Page(render(lab.project, "last"))
    assert f"The first {MOST_ROWS} of {MOST_ROWS + 5} jobs." in page.text
    assert f"one × {MOST_ROWS + 5}" in page.text
    assert "One box for each task" in page.text


def test_report_takes_the_place_of_an_earlier_one(finished: tuple[Lab, Any], tmp_path: Path) -> None:
    lab, run = finished
    path = tmp_path / "pages" / "report.html"
    write_report(lab.project, run.id, path)
    path.write_text("old")
    assert write_report(lab.project, run.id, path) == path
    assert path.read_text().endswith("</html>")
    assert os.listdir(path.parent) == ["report.html"]
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_unknown_run_leaves_no_file(lab: Lab, tmp_path: Path) -> None:
    lab.flow(_nothing)()
    with pytest.raises(NotFound):
        write_report(lab.project, "unknown", tmp_path / "report.html")
    assert not list(tmp_path.glob("*report.html*"))


def _nothing() -> None:
    pass


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", " JavaScript:alert(1)", "data:text/html,x", "vbscript:x", "http://[", "java\nscript:x"],
)
def test_links_that_would_execute_are_not_followed(url: str) -> None:
    assert not linkable(url)


@pytest.mark.parametrize(
    "url", ["https://example.org", "map.fits", "../out/map.fits", "file:///data/map.fits", "#jobs"]
)
def test_links_to_pages_and_files_are(url: str) -> None:
    assert linkable(url)


def test_markdown_has_tables_and_no_html() -> None:
    text = markdown("|a|b|\n|-|-|\n|1|<b>2</b>|\n\n[x](javascript:alert(1))")
    assert "<table>" in text
    assert "<b>" not in text
    assert "href" not in text
