from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from daskflow.execution.worker.attempt import current
from daskflow.execution.worker.perform import perform
from daskflow.sites import Listener, Node, SynchronousSite
from daskflow.sites.site import DEAD_UPSTREAM
from tests.execution.patience import alive, until
from tests.sites import deeds
from tests.sites.deeds import Deeds, noted


class Ear:
    def __init__(self) -> None:
        self.records: list[bytes] = []

    def performed(self, records: Sequence[bytes]) -> None:
        self.records.extend(records)

    def lost(self, key: str, reason: str, culprit: str) -> None:
        raise AssertionError("no worker, no loss")

    def tell(self, kind: str, data: str) -> None: ...

    def fail(self, error: Exception) -> None:
        raise AssertionError("no scheduler, no loss")


def echo(package: bytes, *values: Any) -> tuple[Any, bytes, bytes]:
    value = eval(package.decode(), {"values": values, "threading": threading})
    return value, package, b""


@pytest.fixture
def site() -> SynchronousSite:
    return SynchronousSite("here", echo)


def test_nodes_are_performed_in_this_thread_one_after_the_other(site: SynchronousSite) -> None:
    ear = Ear()
    nodes = [
        Node("a", b"[threading.current_thread()]"),
        Node("b", b"values[0] * 2", ("a",)),
        Node("c", b"values", ("b", "a", "a")),
    ]
    site.submit(nodes, ["c"], ear, {})
    assert ear.records == [node.package for node in nodes]
    here = threading.current_thread()
    assert site._values == {"c": ([here, here], [here], [here])}
    assert site.running() == ()


def test_kept_values_serve_later_nodes_until_they_are_released(site: SynchronousSite) -> None:
    ear = Ear()
    site.submit([Node("a", b"20"), Node("b", b"values[0] + 1", ("a",))], ["b"], ear, {})
    site.submit([Node("c", b"values[0] * 2", ("b",))], ["c"], ear, {})
    assert site._values == {"b": 21, "c": 42}
    site.release(["b", "c", "unknown"])
    assert site._values == {}
    with pytest.raises(KeyError):
        site.submit([Node("d", b"values", ("b",))], ["d"], ear, {})


def test_a_value_is_there_before_its_record_is_told(site: SynchronousSite) -> None:
    class Eager(Ear):
        """Needs the value no more as soon as it hears of it."""

        def performed(self, records: Sequence[bytes]) -> None:
            site.release(["a"])

    site.submit([Node("a", b"1")], ["a"], Eager(), {})
    assert site._values == {}


class Big:
    alive: ClassVar[weakref.WeakSet[Big]] = weakref.WeakSet()

    def __init__(self) -> None:
        Big.alive.add(self)


def test_values_are_let_go_as_soon_as_nobody_needs_them() -> None:
    most = 0

    def make(package: bytes, *values: Any) -> tuple[Any, bytes, bytes]:
        nonlocal most
        most = max(most, len(Big.alive))
        return Big(), b"", b""

    site = SynchronousSite("here", make)
    chain = [Node("0", b"")] + [Node(str(n), b"", (str(n - 1),)) for n in range(1, 50)]
    site.submit(chain, ["49"], Ear(), {})
    assert most <= 2
    site.close()


def test_an_error_leaves_nothing_running(site: SynchronousSite) -> None:
    with pytest.raises(ZeroDivisionError):
        site.submit([Node("a", b"1 / 0")], ["a"], Ear(), {})
    assert site.running() == ()


def test_what_is_running_can_be_seen() -> None:
    seen: list[Sequence[str]] = []

    def look(package: bytes, *values: Any) -> tuple[Any, bytes, bytes]:
        seen.append(looked_at.running())
        return None, b"", b""

    looked_at = SynchronousSite("here", look)
    looked_at.submit([Node("a", b""), Node("b", b"")], [], Ear(), {})
    assert seen == [("a",), ("b",)]


def test_dask_collections_are_computed_first(site: SynchronousSite) -> None:
    dask = pytest.importorskip("dask")
    value = dask.delayed(pow, pure=True)(2, 5)
    (key,) = value.__dask_keys__()
    site.submit([Node("a", b"values[0] + 1", (key,))], ["a"], Ear(), dict(value.__dask_graph__()))
    assert site._values == {"a": 33}


def submitted(site: SynchronousSite, ear: Listener, *nodes: Node) -> threading.Thread:
    thread = threading.Thread(target=site.submit, args=(nodes, [node.key for node in nodes], ear, {}), daemon=True)
    thread.start()
    return thread


def test_what_has_not_begun_is_taken_back(tmp_path: Path) -> None:
    make, site, ear, gate = Deeds(tmp_path), SynchronousSite("here", perform), deeds.Ear(), tmp_path / "gate"
    nodes = [make.node("held", deeds.wait_for, str(gate), str(tmp_path / "pids")), make.node("ahead", abs, -3)]
    thread = submitted(site, ear, *nodes)
    until(lambda: noted(tmp_path / "pids"))
    assert site.recall(["held", "ahead", "unknown"]) == {"ahead"}
    gate.touch()
    thread.join(30)
    assert ear.states == {"held": "succeeded"}


@pytest.mark.parametrize("isolated", [False, True])
def test_a_killed_node_is_dead_and_the_next_one_is_performed(tmp_path: Path, isolated: bool) -> None:
    make, site, ear, pids = Deeds(tmp_path), SynchronousSite("here", perform), deeds.Ear(), tmp_path / "pids"
    mark = f"{isolated}"
    nodes = [
        make.node(f"bad-{mark}", deeds.loop, str(pids), isolated=isolated),
        make.after(f"lost-{mark}", f"bad-{mark}"),
        make.after(f"dead-{mark}", f"lost-{mark}"),
        make.node(f"next-{mark}", abs, -3),
    ]
    thread = submitted(site, ear, *nodes)
    until(lambda: noted(pids))
    keys = {f"bad-{mark}", f"dead-{mark}"}
    assert site.kill(keys) == keys
    thread.join(30)
    assert ear.states == {f"next-{mark}": "succeeded"}
    assert ear.losses == {f"lost-{mark}": (DEAD_UPSTREAM, "")}
    assert list(site._values) == [f"next-{mark}"]
    assert [alive(pid) for pid in noted(pids)] == [not isolated], "the thread is of this process"


def test_what_a_node_tells_while_it_runs_comes_at_once(tmp_path: Path) -> None:
    def work(gate: str) -> None:
        current().emit("qa.low", score=0.5)
        current().report.metric("chisq", 2.5, unit="Jy")
        deeds.wait_for(gate)

    make, site, ear = Deeds(tmp_path), SynchronousSite("here", perform), deeds.Ear()
    thread = submitted(site, ear, make.node("teller", work, str(tmp_path / "gate")))
    until(lambda: len(ear.live) == 2)
    assert ear.outcomes == []
    assert [item[:4] for item in ear.live] == [
        ("teller", "event", "qa.low", '{"score": 0.5}'),
        ("teller", "metric", "chisq", '{"value": 2.5, "unit": "Jy"}'),
    ]
    (tmp_path / "gate").touch()
    thread.join(30)
    assert ear.states == {"teller": "succeeded"}


def test_what_is_released_before_it_began_is_not_performed(site: SynchronousSite) -> None:
    class Pausing(Ear):
        def __init__(self) -> None:
            super().__init__()
            self.gone: list[str] = []

        def performed(self, records: Sequence[bytes]) -> None:
            super().performed(records)
            site.release(["b"])

        def lost(self, key: str, reason: str, culprit: str) -> None:
            self.gone.append(key)

    nodes = [Node("a", b"1", ()), Node("b", b"2", ()), Node("c", b"values[0]", ("b",)), Node("d", b"4", ())]
    ear = Pausing()
    site.submit(nodes, ["a", "b", "c", "d"], ear, {})
    assert (ear.records, ear.gone) == ([b"1", b"4"], ["b", "c"])


def test_closing_forgets_and_the_site_can_be_used_again(site: SynchronousSite) -> None:
    ear = Ear()
    site.submit([Node("a", b"1")], ["a"], ear, {})
    site.leave(ear)
    site.close()
    assert site._values == {}
    site.submit([Node("a", b"2")], ["a"], ear, {})
    assert site._values == {"a": 2}
    assert site.address() == ""
