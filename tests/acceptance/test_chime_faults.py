"""What CHIME/FRB Workflow did wrong, and bad input: with its interface and with daskflow's own, and real agents."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import daskflow
from daskflow.compat import chime
from daskflow.errors import SiteUnknown, WorkInvalid, WorkLost
from tests.acceptance.shell import daskflow as shell
from tests.acceptance.shell import environment
from tests.execution.patience import until
from tests.execution.slacks import TOKEN, receiving

pytestmark = pytest.mark.acceptance

_FUNCTIONS = """
import os, pathlib, time

def add(a: int, b: int) -> int:
    return a + b

def only_a_plot(path):
    pathlib.Path(path).write_text("a plot")
    return {"n": 1}, [], [path]

def give(value=None, kind=""):
    if kind == "large":
        return {"deep": [{"text": "x" * (1 << 20)}] * 5}
    return {"object": object()} if kind == "object" else value

def fail_at_first(path, number):
    if os.environ["DASKFLOW_ATTEMPT"] == "1":
        raise ValueError(f"not yet {number}")
    return {"number": number}

def wait(path):
    pathlib.Path(path, "begun").touch()
    while not pathlib.Path(path, "go").exists():
        time.sleep(0.02)
    return os.environ["DASKFLOW_ATTEMPT"]

def hold(path):
    pathlib.Path(path).touch()
    time.sleep(600)
"""


class Face(NamedTuple):
    """How users speak to buckets."""

    work: type[daskflow.Work]
    deposit: Callable[[Any], Any]
    update: Callable[[Any], Any]
    delete: Callable[[Any], Any]


def _own(name: str) -> Callable[[Any], Any]:
    def act(work: Any) -> Any:
        with daskflow.Buckets() as buckets:
            return getattr(buckets, name)(work)

    return act


FACES = {
    "chime": Face(chime.Work, chime.Work.deposit, chime.Work.update, chime.Work.delete),
    "own": Face(daskflow.Work, _own("deposit"), _own("update"), _own("delete")),
}


CASES = [
    pytest.param(("chime", "sqlite"), id="chime-sqlite"),
    pytest.param(("own", "sqlite"), id="own-sqlite"),
    pytest.param(("chime", "postgres"), id="chime-postgres", marks=pytest.mark.integration),
]


@pytest.fixture(params=CASES)
def face(request: pytest.FixtureRequest, here: Path) -> Face:
    """How the user speaks to buckets, which are in a file or in PostgreSQL."""
    name, kind = request.param
    store = "works.db" if kind == "sqlite" else request.getfixturevalue("postgres")
    (here / "daskflow.yaml").write_text(f"works: {{store: '{store}', functions: [functions.*], lease: 5 s}}\n")
    return FACES[name]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the user."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_TOKEN", "of-the-user")
    (tmp_path / "functions.py").write_text(_FUNCTIONS)
    return tmp_path


_PLAIN: dict[str, Any] = {"pipeline": "sample", "site": "local", "user": "ada"}


def made(face: Face, name: str = "", **fields: Any) -> Any:
    """A work for a function of `functions.py`, or for something else, deposited."""
    if name:
        fields["function"] = f"functions.{name}"
    work = face.work(**_PLAIN, **fields)
    assert face.deposit(work)
    return work


def performed(here: Path, *works: Any, arguments: tuple[str, ...] = (), **variables: Any) -> list[Any]:
    """The works after an agent has performed all that is in the bucket."""
    shell(here, "work", "run", "sample", "--site", "local", "--idle", "0.2", *arguments, **variables)
    with daskflow.Buckets() as buckets:
        return [buckets.get(work.id) for work in works]


@contextmanager
def performing(here: Path, lives: int) -> Iterator[None]:
    """While an agent performs works; at the end of the block it has performed as many as it has lives."""
    command = [sys.executable, "-m", "daskflow", "work", "run", "sample", "--site", "local", "--lives", str(lives)]
    agent = subprocess.Popen(command, cwd=here, env=environment())
    try:
        yield
        assert agent.wait(60) == 0
    finally:
        agent.kill()
        agent.wait()


def test_what_is_wrong_with_a_work_is_told_before_it_is_deposited(face: Face) -> None:
    with pytest.raises(SiteUnknown, match=r"'cedr'; there are local.*`works: sites:`"):
        face.deposit(face.work(pipeline="sample", site="cedr", user="ada", function="functions.add"))
    with pytest.raises(WorkInvalid, match="command and function cannot be set together"):
        face.work(**_PLAIN, function="functions.add", command=["true"])
    with pytest.raises(WorkInvalid, match=r"parameters: it takes 5 MiB as JSON, and a work holds 4 MiB of it. Write"):
        face.work(**_PLAIN, parameters={"deep": [{"text": "x" * (1 << 20)}] * 5})
    with pytest.raises(
        WorkInvalid, match=r"parameters.a\[0\] is of the type object, which JSON cannot hold. Make it of"
    ):
        face.work(**_PLAIN, parameters={"a": [object()]})
    with pytest.raises(WorkInvalid, match="sites: there is no such field; do you mean 'site'"):
        face.work(**_PLAIN, sites="local")
    with daskflow.Buckets() as buckets:
        assert buckets.count() == 0


def test_what_would_fail_again_fails_once_with_the_cure(face: Face, here: Path) -> None:
    names = ("unfit", "refused", "large", "object")
    works = [
        made(face, "add", parameters={"a": 1, "c": 2}),
        made(face, function="os.system", parameters={"command": f"touch {here}/touched"}),
        made(face, "give", parameters={"kind": "large"}),
        made(face, "give", parameters={"kind": "object"}),
    ]
    found = dict(zip(names, performed(here, *works), strict=True))
    assert {name: (work.status, work.attempt, work.final, work.results) for name, work in found.items()} == {
        # Another agent may be allowed to.
        name: ("failure", 1, name != "refused", None)
        for name in names
    }
    assert "do not fit add(a: int, b: int) -> int: missing a required argument: 'b'" in found["unfit"].error
    assert "may not import 'os.system'" in found["refused"].error
    assert "works: functions:" in found["refused"].error
    assert not (here / "touched").exists()
    assert "take 5 MiB as JSON, and a work holds 4 MiB of it. Write them to a file" in found["large"].error
    assert "results.object is of the type object, which JSON cannot hold" in found["object"].error


def test_a_work_that_is_deleted_while_it_runs_is_killed(face: Face, here: Path) -> None:
    held, seen = made(face, "hold", parameters={"path": str(here / "begun")}), here / "begun"
    with performing(here, lives=2):
        until(seen.exists, 60)
        assert face.delete(held)
        with pytest.raises(WorkLost, match="not there any more: it was deleted"):
            face.update(held)
        after = made(face, "add", parameters={"a": 1, "b": 2})
    with daskflow.Buckets() as buckets:
        assert [(work.id, work.results) for work in buckets.view()] == [(after.id, 3)]


def test_a_clock_that_jumps_takes_no_work_from_who_performs_it(face: Face, here: Path) -> None:
    work = made(face, "wait", parameters={"path": str(here)}, retries=1)
    with daskflow.Buckets() as buckets:

        def look() -> Any:
            return buckets.get(work.id)

        def jump() -> bool:
            """The lease is over at once, as where the clock of the store is put forward; and somebody notices."""
            buckets.heartbeat(look(), 1e-6)
            return buckets.audit()["expired"] == 1

        with performing(here, lives=1):
            until((here / "begun").exists, 60)
            until(jump, 60)
            # Nobody else has taken it: the next heartbeat of its agent takes it back.
            until(lambda: look().status == "running", 60)
            (here / "go").touch()
        assert (look().status, look().results, look().attempt) == ("success", "1", 1)


HOSTILE = ["'; DROP TABLE works; --", '" OR 1=1 --', "%s %(x)s {ids} :id $1 ?", "ä🚀\u202e"]


@pytest.mark.parametrize("text", HOSTILE)
def test_sql_is_text_in_every_field(face: Face, text: str) -> None:
    other = made(face, "add")
    shown = "".join(letter for letter in text if letter.isprintable())
    fields = dict.fromkeys(("user", "function"), shown)
    work = face.work(
        pipeline="sample",
        site=shown,
        **fields,
        parameters={text: text},
        tags=[text],
        group=[text],
        config={"parent": shown, "strategy": "relaxed", "orgs": [text]},
        notify={"slack": {"message": text, "channel_id": text}},
    )
    assert face.deposit(work)
    with daskflow.Buckets() as buckets:
        queries: dict[str, Any] = {**fields, "site": shown, "tags": text, "group": text, "config.parent": shown}
        queries |= {"config.orgs": {"$in": [text]}, "notify.slack.message": text}
        for query in ({name: value} for name, value in queries.items()):
            assert [each.id for each in buckets.view(query)] == [work.id], query
        found = chime.Work.withdraw("sample", site=shown, user=shown, tags=text, parent=shown)
        assert found is not None
        assert (found.id, found.parameters) == (work.id, {text: text})
        found.results, found.products, found.plots = {text: [text]}, [text], [text]
        found.error, found.log, found.host, found.status = text, text, shown, "failure"  # type: ignore[assignment]
        face.update(found)
        stored = buckets.get(found.id or "")
        assert stored is not None
        assert (stored.error, stored.log, stored.host, stored.results) == (text, text, shown, {text: [text]})
        for query in (
            {"products": text},
            {"plots": {"$regex": f"^{re.escape(text)}$"}},
            {"error": text},
            {"host": shown},
        ):
            assert [each.id for each in buckets.view(query)] == [work.id], query
        assert buckets.delete([text, str(work.id)]) == 1
        assert [each.id for each in buckets.view()] == [other.id]


def test_results_products_and_plots_are_where_they_belong(face: Face, here: Path) -> None:
    works = [
        made(face, "only_a_plot", parameters={"path": str(here / "a.png")}),
        *(made(face, "give", parameters={"value": value}) for value in (0, False, [1, 2], None, "text")),
    ]
    plotted, *given = performed(here, *works)
    assert (plotted.results, plotted.products, plotted.plots) == ({"n": 1}, [], [str(here / "a.png")])
    assert [(work.status, work.results) for work in given] == [
        ("success", value) for value in (0, False, [1, 2], None, "text")
    ]


def test_a_second_attempt_has_its_parameters_and_nothing_of_the_first(face: Face, here: Path) -> None:
    (work,) = performed(here, made(face, "fail_at_first", parameters={"path": str(here), "number": 7}))
    assert (work.status, work.attempt, work.results, work.error) == ("success", 2, {"number": 7}, None)
    (work,) = performed(here, made(face, "fail_at_first", parameters={"path": str(here), "number": 7}, retries=1))
    # The traceback is in the work, not only in a log somewhere.
    assert (work.status, work.attempt) == ("failure", 1)
    assert work.error.startswith("ValueError: not yet 7\n\nTraceback")
    assert "fail_at_first" in work.error


def test_functions_and_commands_end_after_their_timeout(face: Face, here: Path) -> None:
    works = [
        made(face, "hold", parameters={"path": str(here / "begun")}, timeout=1, retries=1),
        made(face, command=["sleep", "600"], timeout=1, retries=1),
        made(face, "add", parameters={"a": 1, "b": 2}),
    ]
    *late, last = performed(here, *works, DASKFLOW_WORKS__COMMANDS='["sleep"]')
    assert [work.error for work in late] == [
        "The work took longer than its timeout of 1 s, and was killed.",
    ] * 2
    assert last.results == 3


def test_slack_is_told_and_its_answer_is_in_the_work(face: Face, here: Path) -> None:
    blocks = {"blocks": [{"type": "divider"}]}
    slack = {"channel_id": "C01", "message": "Look!", "results": True, "blocks": blocks}
    work = made(face, "add", parameters={"a": 1, "b": 2}, notify={"slack": slack})
    with receiving((200, {}, '{"ok": true, "channel": "C01", "ts": "1.5"}')) as place:
        secret = place.secret().get_secret_value()
        (found,) = performed(here, work, DASKFLOW_CREDENTIALS_SLACK=secret)
    assert found.notify.slack.reply == {"ok": True, "channel": "C01", "ts": "1.5"}
    assert (found.status, found.results, found.notify.slack.blocks) == ("success", 3, blocks)
    (message,) = place.messages
    assert (message["channel"], place.tokens) == ("C01", [f"Bearer {TOKEN}"])
    assert message["text"].splitlines() == [
        "Look!",
        f"sample {work.id} at local: success in attempt 1",
        "results:",
        "3",
    ]
    assert [block["type"] for block in message["blocks"]] == ["section", "divider", "section"]


def test_a_bucket_of_messages(face: Face, here: Path) -> None:
    work = made(face, notify={"slack": {"member_ids": ["U07", "U08"], "message": "Tea is ready."}})
    with receiving((200, {}, '{"ok": true}')) as place:
        secret = place.secret().get_secret_value()
        (found,) = performed(here, work, arguments=("--command", "true"), DASKFLOW_CREDENTIALS_SLACK=secret)
    assert found.notify.slack.reply == {"U07": {"ok": True}, "U08": {"ok": True}}
    assert [message["channel"] for message in place.messages] == ["U07", "U08"]
    assert place.messages[0]["text"].startswith("<@U07> <@U08> Tea is ready.\n")
