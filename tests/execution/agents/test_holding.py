import threading

import pytest

from daskflow.errors import StoreUnavailable, WorkLost
from daskflow.execution.agents import holding
from daskflow.execution.agents.holding import Holder, Why, now
from daskflow.model.work import Work
from daskflow.sites.grip import Killed
from daskflow.stores.buckets import Buckets
from daskflow.stores.buckets.line import Line
from daskflow.stores.buckets.remote import RemoteShelf
from tests.execution.agents.conftest import make
from tests.execution.patience import until
from tests.services.ports import free_port


@pytest.fixture
def work(buckets: Buckets) -> Work:
    buckets.deposit(make("add"))
    found = buckets.withdraw("sample", lease=1.0)
    assert found is not None
    return found


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> float:
    """A lease that a busy machine does not let lapse, although it is renewed at once [s]."""
    monkeypatch.setattr(holding, "_PARTS", 100)
    return 20.0


def test_a_lease_is_renewed_as_long_as_the_work_is_in_hand(
    buckets: Buckets, work: Work, patient: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = threading.Semaphore(0)
    heartbeat = buckets.heartbeat

    def counted(work: Work, lease: float) -> None:
        heartbeat(work, lease)
        beats.release()

    monkeypatch.setattr(buckets, "heartbeat", counted)
    holder = Holder(buckets, patient)
    with holder.holding(work, now()) as held:
        for _ in range(5):
            assert beats.acquire(timeout=30)
        assert buckets.audit(None)["expired"] == 0
        assert held.why is None
    holder.close()


def test_what_somebody_else_has_is_killed(buckets: Buckets, work: Work, patient: float) -> None:
    holder = Holder(buckets, patient)
    with holder.holding(work, now()) as held:
        buckets.delete(work)
        until(lambda: held.grip.killed)
        assert held.why is Why.lost
    holder.close()


def test_what_cannot_be_held_is_killed_before_the_lease_is_over(
    buckets: Buckets, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(work: Work, lease: float) -> None:
        raise StoreUnavailable("The store is away.")

    monkeypatch.setattr(buckets, "heartbeat", silent)
    holder, began = Holder(buckets, 2.0), now()
    with holder.holding(work, began) as held:
        until(lambda: held.grip.killed)
        assert held.why is Why.silent
        assert now() - began >= 1.5
    holder.close()


def test_an_outage_is_logged_once_and_its_end_too(
    buckets: Buckets, work: Work, patient: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    beats = 0
    heartbeat = buckets.heartbeat

    def away_for_a_while(work: Work, lease: float) -> None:
        nonlocal beats
        beats += 1
        if beats <= 3:
            raise StoreUnavailable("The store is away.")
        heartbeat(work, lease)

    monkeypatch.setattr(buckets, "heartbeat", away_for_a_while)
    holder = Holder(buckets, patient)
    with holder.holding(work, now()) as held:
        until(lambda: beats >= 6)
        assert held.why is None
    holder.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"The lease of the work {work.id} was not renewed: The store is away.",
        "Leases are renewed again.",
    ]


def test_who_waits_for_a_server_to_renew_a_lease_waits_no_longer_than_until_the_end() -> None:
    line = Line(f"http://127.0.0.1:{free_port()}", None, patience=3600.0)
    asked = threading.Event()

    class Silent(RemoteShelf):
        def heartbeat(self, id: str, attempt: int, lease: float) -> None:
            asked.set()
            super().heartbeat(id, attempt, lease)

    holder = Holder(Buckets(Silent(line)), 3600.0)
    other = make("add")
    other.id = "a"
    with holder.holding(other, now() - 1800.0):
        assert asked.wait(60)
        holder.kill(Why.stopped)
        thread = threading.Thread(target=holder.close)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
    line.close()


def test_who_was_stopped_goes_no_further(buckets: Buckets, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    holder, began = Holder(buckets, 60.0), now()
    with holder.holding(work, began) as held:
        holder.check(held)
        # The threads that would have noticed were stopped as well.
        monkeypatch.setattr(holding, "now", lambda: began + 51.0)
        with pytest.raises(Killed):
            holder.check(held)
        assert held.why is Why.silent
    holder.close()


def test_a_store_that_does_not_answer_at_all_delays_no_killing(
    buckets: Buckets, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()
    monkeypatch.setattr(buckets, "heartbeat", lambda work, lease: answer.wait())
    holder = Holder(buckets, 0.3)
    with holder.holding(work, now()) as held:
        until(lambda: held.grip.killed)
        assert held.why is Why.silent
        answer.set()
    holder.close()


def test_nothing_is_asked_of_a_work_that_is_done(buckets: Buckets, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(work: Work, lease: float) -> None:
        raise WorkLost("It was asked for.")

    monkeypatch.setattr(buckets, "heartbeat", asked)
    holder = Holder(buckets, 0.2)
    other = make("add")
    other.id = "b"
    with holder.holding(work, now()) as done:
        with done.lock:
            done.done = True
        with holder.holding(other, now()) as held:
            until(lambda: held.grip.killed)
        assert done.why is None
    holder.close()


def test_all_are_killed_at_once(buckets: Buckets, work: Work) -> None:
    holder = Holder(buckets, 60.0)
    with holder.holding(work, now()) as held:
        holder.kill(Why.stopped)
        holder.kill(Why.lost)
        assert held.grip.killed
        assert held.why is Why.stopped
    holder.close()


def test_one_that_is_being_written_keeps_no_other_waiting(
    buckets: Buckets, work: Work, patient: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[str] = []
    monkeypatch.setattr(buckets, "heartbeat", lambda work, lease: beats.append(str(work.id)))
    other = make("add")
    other.id = "other"
    holder = Holder(buckets, patient)
    with holder.holding(work, now()) as first, holder.holding(other, now()) as second:
        with first.lock:
            until(lambda: beats.count("other") >= 4)
            assert str(work.id) not in beats
        assert second.why is None
    holder.close()


def test_what_was_being_written_is_renewed_soon_after(
    buckets: Buckets, work: Work, patient: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    monkeypatch.setattr(buckets, "heartbeat", lambda work, lease: asked.set())
    holder = Holder(buckets, patient)
    with holder.holding(work, now()) as held:
        with held.lock:
            until(lambda: held.tried > held.heard)
            assert not asked.is_set()
        assert asked.wait(30)
    holder.close()
