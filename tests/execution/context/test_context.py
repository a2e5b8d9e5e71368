from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.errors import ContextRefused, NoKey, NotFound, NotInTask, UsageError
from daskflow.execution.context.context import Context
from daskflow.execution.project import Project
from daskflow.execution.worker.attempt import CURRENT_ATTEMPT, Attempt
from daskflow.graph.host import CURRENT_HOST
from daskflow.model.records import RunRecord
from daskflow.stores import Database, Journal
from tests.conftest import Lab
from tests.execution.counting import count, counted


class Clean(BaseModel):
    niter: int


class Template(BaseModel):
    scores: dict[str, float]
    clean: Clean = Clean(niter=100)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    journal = Journal(Database(tmp_path / "journal.db"))
    for id, parent in (("top", ""), ("child", "top"), ("grandchild", "child"), ("other", "")):
        journal.add_run(RunRecord(id=id, parent=parent, flow="study", created=1.0, started=1.0))
    made = Project(journal, Values(ObjectStore(str(tmp_path / "artifacts"))), tmp_path, sites={}, default_site="local")
    yield made
    made.close()


@contextmanager
def flow_of(project: Project | None, run: str) -> Iterator[None]:
    """As in the body of the flow of a run; without a project, of one that is planned."""
    host: Any = SimpleNamespace(id=run, project=project) if project else Planned()
    token = CURRENT_HOST.set(host)
    try:
        yield
    finally:
        CURRENT_HOST.reset(token)


class Planned:
    id = "preview"


def load(project: Project, run: str = "top", **options: Any) -> Context:
    with flow_of(project, run):
        return Context.load(**options)


def resumed(project: Project, run: str = "top") -> None:
    project.journal.update_run(run, started=time.time())


@pytest.fixture
def ctx(project: Project) -> Context:
    return load(project)


def values(ctx: Context, name: str) -> list[tuple[str, int, Any]]:
    return [(record.stage, record.version, record.value) for record in ctx.history(name)]


def test_stages_share_values(ctx: Context) -> None:
    ctx.add("noise", 0.1, stage="import")
    ctx.add("noise", 0.2, stage="clean")
    ctx.add("beam", (1.5, 2.5), stage="clean")
    ctx.add("noise", 0.3, stage="import")
    assert (ctx["noise"], ctx.get("noise", stage="clean"), ctx["beam"]) == (0.3, 0.2, (1.5, 2.5))
    assert (ctx.get("none"), ctx.get("none", 7), ctx.get("beam", 7, stage="import")) == (None, 7, 7)
    assert (ctx.stages(), ctx.names(), ctx.names("import")) == (["import", "clean"], ["noise", "beam"], ["noise"])
    assert values(ctx, "noise") == [("import", 1, 0.1), ("clean", 1, 0.2), ("import", 2, 0.3)]
    assert [record.value for record in ctx.history("noise", "clean")] == [0.2]
    assert "beam" in ctx
    with pytest.raises(NotFound, match=r"no 'bean'\. It has: noise, beam"):
        ctx["bean"]


def test_dictionaries_of_one_stage_are_merged(ctx: Context) -> None:
    ctx.add("scores", {"a": 1}, stage="import")
    ctx.add("scores", {"b": np.arange(2)}, stage="import")
    ctx.add("scores", {"c": 3}, stage="import")
    ctx.add("scores", {"d": 4}, stage="clean")
    assert list(ctx.get("scores", stage="import")) == ["a", "b", "c"]
    assert ctx["scores"] == {"d": 4}
    ctx.add("scores", "none", stage="import")
    assert ctx["scores"] == "none"


def test_what_is_there_already_is_no_new_version(ctx: Context) -> None:
    for value in (1, 1, 2, 2, 1):
        ctx.add("a", value)
    assert values(ctx, "a") == [("", 1, 1), ("", 2, 2), ("", 3, 1)]


def test_a_value_may_be_the_only_one(project: Project, ctx: Context) -> None:
    ctx.add("reference", "DA41", stage="import", exclusive=True)
    for value in ("DA42", "DA41"):
        with pytest.raises(ContextRefused, match="'reference' of the stage 'import' already"):
            ctx.add("reference", value, stage="import", exclusive=True)
    ctx.add("reference", "DA42", stage="clean", exclusive=True)
    resumed(project)
    load(project).add("reference", "DA41", stage="import", exclusive=True)


def test_a_template_says_what_may_be_added(project: Project) -> None:
    ctx = load(project, template=Template)
    ctx.add("scores", {"spw0": "0.5"})
    ctx.add("scores", {"spw1": 1})
    assert ctx["scores"] == {"spw0": 0.5, "spw1": 1.0}
    assert ctx["clean"] == ctx.snapshot()["clean"] == Clean(niter=100)
    assert "clean" in ctx
    ctx.add("clean", {"niter": 5})
    assert ctx["clean"] == ctx.snapshot()["clean"] == Clean(niter=5)
    with pytest.raises(ContextRefused, match=r"scores\.spw2"):
        ctx.add("scores", {"spw2": "low"})
    with pytest.raises(ContextRefused, match="no field 'score'"):
        ctx.add("score", {})
    assert len(ctx.history("scores")) == 2


def test_large_values_go_to_the_artifact_store(project: Project, ctx: Context) -> None:
    ctx.add("image", np.arange(100_000.0))
    [record] = project.journal.context_now("top", 1.0)
    assert record.inline is None
    assert project.values.store is not None
    assert project.values.store.exists(record.digest, record.size)
    np.testing.assert_array_equal(ctx.snapshot()["image"], ctx["image"])


def test_runs_of_one_tree_share_the_context_of_the_top(project: Project, ctx: Context) -> None:
    load(project, "grandchild").add("a", 1)
    assert (ctx["a"], load(project, "child")["a"]) == (1, 1)
    assert "a" not in load(project, "other")


def test_a_resumed_run_adds_what_it_added_before(project: Project, ctx: Context) -> None:
    def study(ctx: Context) -> list[object]:
        ctx.add("a", {"x": 1}, stage="import")
        first = ctx.snapshot()
        ctx.add("a", {"y": 2}, stage="import")
        ctx.add("b", ctx["a"], stage="clean")
        return [first, ctx.snapshot()]

    before, history = study(ctx), values(ctx, "a")
    resumed(project)
    again = load(project)
    assert again.names() == []
    # So the tasks that get the snapshots are known.
    assert study(again) == before
    assert values(again, "a") == history
    assert len(again.history("a", earlier=True)) == 2


def test_a_run_that_is_resumed_alone_sees_what_the_others_added(project: Project, ctx: Context) -> None:
    ctx.add("a", 1, exclusive=True)
    load(project, "child").add("b", 2, exclusive=True)
    resumed(project, "child")
    child = load(project, "child")
    child.add("b", 2, exclusive=True)
    assert (child["a"], values(child, "b")) == (1, [("", 1, 2)])


def test_patches(ctx: Context) -> None:
    ctx.add("a", 1, stage="clean")
    ctx.add("d", {"x": 1}, stage="clean")
    patch = pickle.loads(pickle.dumps(ctx.snapshot().patch(stage="clean", a=2, b=3, d={"y": 2})))
    for _ in range(2):  # a resumed run applies it again
        ctx.apply(patch)
    assert (ctx["a"], ctx["b"], ctx["d"]) == (2, 3, {"x": 1, "y": 2})
    assert [version for _, version, _ in values(ctx, "a")] == [1, 2]


def test_a_patch_of_what_was_changed_meanwhile_is_refused_as_a_whole(ctx: Context) -> None:
    snapshot = ctx.snapshot()
    ctx.add("a", 1, stage="clean")
    ctx.add("a", 1, stage="import")
    patch = snapshot.patch(stage="clean", b=5, a=2)
    with pytest.raises(ContextRefused, match="'a' of the stage 'clean' was changed"):
        ctx.apply(patch)
    assert "b" not in ctx
    ctx.apply(patch, force=True)
    assert (ctx["a"], ctx["b"]) == (2, 5)
    with pytest.raises(UsageError, match="A dict is no patch"):
        ctx.apply({"a": 1})  # type: ignore[arg-type]


def test_it_is_no_argument_of_a_task(ctx: Context) -> None:
    with pytest.raises(NoKey, match=r"ctx\.snapshot\(\)"):
        pickle.dumps(ctx)
    with pytest.raises(NoKey, match=r"ctx\.snapshot\(\)"):
        ctx.key_text()


def test_where_it_can_be_loaded(project: Project) -> None:
    with pytest.raises(UsageError, match="No flow is executed here"):
        Context.load()
    with pytest.raises(UsageError, match="from daskflow import Context"):
        Context.load(run="top")
    token = CURRENT_ATTEMPT.set(Attempt("fit-1", 1, "top", None))
    try:
        with flow_of(project, "top"), pytest.raises(NotInTask, match=r"fit-1 .*ctx\.snapshot\(\)"):
            Context.load()
    finally:
        CURRENT_ATTEMPT.reset(token)


def test_the_context_of_a_named_run(project: Project, ctx: Context) -> None:
    class Bound(Context):
        open_project = staticmethod(lambda: project)

    ctx.add("a", 1)
    assert Bound.load(run="grandchild")["a"] == 1
    with pytest.raises(NotFound, match="nobody"):
        Bound.load(run="nobody")


def test_a_flow_that_is_planned_keeps_nothing(project: Project) -> None:
    with flow_of(None, ""):
        Context.load().add("a", 1)
        assert Context.load()["a"] == 1
    with flow_of(None, ""):
        assert "a" not in Context.load()


def test_how_it_looks(ctx: Context) -> None:
    assert "empty" in repr(ctx)
    ctx.add("<b>", "<script>" * 50, stage="import")
    for number in range(60):
        ctx.add(f"a{number}", (number,))
    page = ctx._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<script>" not in page
    assert "pickle, " in page
    assert "and 11 more" in page
    assert "<b>" in repr(ctx)


def test_parallel_stages_lose_nothing(project: Project) -> None:
    def stage(run: str, number: int) -> None:
        ctx = load(project, run)
        for step in range(90):
            ctx.add("noise", step, stage=f"stage{number}")
        for step in range(10):
            ctx.add("shared", {f"{number}-{step}": step}, stage="all")

    threads = [threading.Thread(target=stage, args=(run, number)) for run in ("top", "other") for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for run in ("top", "other"):
        ctx = load(project, run)
        assert ctx["shared"] == {f"{number}-{step}": step for number in range(10) for step in range(10)}
        assert [len(record.value) for record in ctx.history("shared")] == list(range(1, 101))
        for number in range(10):
            assert [record.value for record in ctx.history("noise", f"stage{number}")] == list(range(90))


def test_parallel_processes_lose_nothing(project: Project) -> None:
    code = """
        import sys
        from daskflow.artifacts.values import Values
        from daskflow.execution.context.context import Context
        from daskflow.stores import Database, Journal
        with Database(sys.argv[1]) as database:
            ctx = Context(Journal(database), Values(None), "top", epoch=1.0)
            ctx.add("ready", {sys.argv[2]: 1})
            for count in range(100):
                ctx.add("shared", {f"{sys.argv[2]}-{count}": count})
    """
    url = project.journal.database.url
    others = [subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), url, name]) for name in "ab"]
    assert [other.wait(timeout=100) for other in others] == [0, 0]
    ctx = load(project)
    assert ctx["ready"] == {"a": 1, "b": 1}
    assert len(ctx["shared"]) == 200
    assert [record.version for record in ctx.history("shared")] == list(range(1, 201))


def test_a_resumed_flow_gives_its_tasks_the_snapshots_that_they_had(lab: Lab, tmp_path: Path) -> None:
    counts = tmp_path / "counts"
    counts.mkdir()

    @lab.task(cache="run")
    def measure(snapshot: Any, counts: str) -> Any:
        count(counts, "measured")
        return snapshot.patch(stage="measure", noise=snapshot["beam"] / 2)

    @lab.flow
    def study() -> float:
        ctx = Context.load()
        ctx.add("beam", 3.0, stage="import")
        ctx.apply(measure(ctx.snapshot(), str(counts)).result())
        if not (counts / "again").exists():
            (counts / "again").touch()
            raise OSError("a bad day")
        return float(ctx["noise"])

    with pytest.raises(OSError, match="a bad day"):
        study()
    record = lab.project.journal.run("last")
    run = lab.launcher.resume(study, record, {}, background=False)
    assert run.result() == 1.5
    assert counted(counts)["measured"] == 1
    assert len(lab.project.journal.context_history(record.id, "noise")) == 1


def test_a_context_as_an_argument_is_refused(lab: Lab) -> None:
    @lab.task
    def measure(ctx: Any) -> None: ...

    @lab.flow
    def study() -> None:
        measure([Context.load()])

    with pytest.raises(NoKey, match=r"ctx\.snapshot\(\)"):
        study()


def test_a_planned_flow_may_use_its_context(lab: Lab) -> None:
    @lab.flow
    def study() -> None:
        Context.load().add("a", 1)
        assert Context.load()["a"] == 1

    assert study.plan().jobs == []
