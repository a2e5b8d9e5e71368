from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from daskflow.compat.chime.results import Results
from daskflow.compat.chime.work import Work
from daskflow.errors import WorkInvalid, WorkLocked


def made(**changes: Any) -> Work:
    return Work(**{"pipeline": "sample", "site": "local", "user": "ada", "function": "math.hypot", **changes})


def ended(results: Any, *, status: str = "success", **changes: Any) -> dict[str, Any]:
    """A work that was performed elsewhere."""
    return made(results=results, status=status, attempt=1, start=1.0, stop=2.0, **changes).payload


@pytest.fixture
def results(store: str) -> Iterator[Results]:
    with Results(store) as found:
        yield found


def perform(results: Results, value: Any, **changes: Any) -> str:
    """Have a work performed; its id."""
    work = made(**changes)
    work.deposit(http=results.client)
    found: Any = Work.withdraw(work.pipeline, http=results.client)
    found.results, found.status = value, "success"
    found.update()
    return str(work.id)


def test_what_has_ended_is_a_result(results: Results) -> None:
    id = perform(results, {"dm": 332.7}, event=[42])
    made(event=[42]).deposit(http=results.client)
    assert [each["id"] for each in results.view("sample")] == [id]
    assert results.count("sample") == 1
    assert results.status() == {"sample": 1}
    assert results.view("sample", {"results.dm": {"$gt": 300}}, {"results.dm": 1})[0]["results"] == {"dm": 332.7}
    assert results.count("sample", {"results.dm": {"$lt": 300}}) == 0
    # Buckets are found by the names that users gave them.
    assert results.count("Sample") == 1
    # A query does not lead out of the results.
    assert results.count("sample", {"status": "queued"}) == 0
    assert results.count() == 1


def test_results_of_elsewhere_are_added(results: Results) -> None:
    given = [
        ended({"dm": 1.5}, event=[1]),
        ended(None, status="failure", error="no signal"),
        ended(3, pipeline="other"),
    ]
    assert results.deposit(given) == {"sample": 2, "other": 1}
    assert results.status() == {"sample": 2, "other": 1}
    (found,) = results.get_by_event("sample", 1)
    assert (found["results"], found["status"], found["function"]) == ({"dm": 1.5}, "success", "math.hypot")
    # Nobody performs them.
    assert Work.withdraw(["sample", "other"], http=results.client) is None


def test_what_is_there_is_not_added_twice(results: Results) -> None:
    perform(results, 1)
    (found,) = results.view("sample")
    assert results.deposit({**found, "results": 2}) == {"sample": 1}
    assert [each["results"] for each in results.view("sample")] == [2]


def test_what_has_not_ended_is_no_result(results: Results) -> None:
    with pytest.raises(WorkInvalid, match="not created"):
        results.deposit([ended(1), made()])
    assert results.count() == 0


def test_results_are_found_and_changed(results: Results) -> None:
    ids = [perform(results, number, event=[number, 100 + number]) for number in range(12)]
    assert [each["results"] for each in results.get_by_count("sample")] == list(range(11, 1, -1))
    found = results.get_by_id("sample", ids[3])
    assert found is not None
    assert found["results"] == 3
    assert results.get_by_id("other", ids[3]) is None
    assert [each["id"] for each in results.get_by_event("sample", [104, 5])] == [ids[5], ids[4]]
    assert results.update([{**found, "results": "three"}])
    assert results.view("sample", {"results": "three"}, limit=-1)[0]["id"] == ids[3]
    assert results.delete_ids("other", ids) is False
    assert results.delete_ids("sample", ids[:2]) is True
    assert results.delete_ids("sample", ids[0]) is False
    assert results.count("sample") == 10


def test_locked_results_stay_as_they_are(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = perform(results, 1), perform(results, 2)
    assert results.lock("other", first) is False
    assert results.lock("sample", [first]) is True
    (locked,) = results.get_locked("sample")
    assert (locked["id"], results.get_locked_count("sample"), results.get_locked_count()) == (first, 1, 1)
    with pytest.raises(WorkLocked):
        results.delete_ids("sample", [first, second])
    with pytest.raises(WorkLocked):
        results.update({**locked, "results": 3})
    assert results.count("sample") == 2
    answers = ["n", "y"]
    monkeypatch.setattr("builtins.input", lambda question: answers.pop(0))
    assert results.unlock("sample", first) is False
    assert results.get_locked_count() == 1
    assert results.unlock("sample", first) is True
    assert answers == []
    assert results.unlock("sample", second, force=True) is True
    assert results.unlock("sample", "nix", force=True) is False
    assert results.delete_ids("sample", [first, second])


def test_nothing_of_elsewhere_is_ever_queued(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    buckets = results.client.buckets
    taken: list[Any] = []

    def watched(act: Any) -> Any:
        def look(*given: Any) -> Any:
            # An agent that looks at every moment.
            found = act(*given)
            taken.append(buckets.withdraw("sample"))
            return found

        return look

    for name in ("deposit", "update", "view", "delete"):
        monkeypatch.setattr(buckets.shelf, name, watched(getattr(buckets.shelf, name)))
    given = [ended({"dm": 1.5}, status="failure", error="no signal"), ended(2, given_back=1)]
    assert results.deposit(given) == {"sample": 2}
    assert buckets.audit(None) == {"failed": 0, "expired": 0, "stale": 0}
    assert buckets.withdraw("sample") is None
    assert taken
    assert set(taken) == {None}
    monkeypatch.undo()
    second, first = results.view("sample")
    assert (first["attempt"], first["start"], first["stop"], first["error"]) == (1, 1.0, 2.0, "no signal")
    assert (second["attempt"], second["given_back"], second["final"]) == (1, 1, False)


def test_versions_are_told(results: Results) -> None:
    with results:
        assert set(results.info()) == {"client", "server"}
