from __future__ import annotations

from daskflow.errors import BatchRefused, StartupFailed
from daskflow.sites.pilots.ends import failed_start
from daskflow.sites.pilots.refusals import Failure, Refusals, Step

NOW = 1e9


def failure(node: str = "n1", log: str = "") -> Failure:
    return Failure(node, failed_start(1), log)


def steps(refusals: Refusals, *nodes: str, serving: bool = False) -> list[Step]:
    return [refusals.failed("small", failure(node), serving=serving, now=NOW) for node in nodes]


def test_some_in_a_row_and_the_pool_is_given_up() -> None:
    refusals = Refusals("cedar", 3)
    assert steps(refusals, "n1", "n2") == [Step.again, Step.again]
    assert refusals.open("small", NOW)
    assert refusals.failed("small", failure("n3", "No module named daskflow"), serving=False, now=NOW) is Step.give_up
    assert not refusals.open("small", NOW + 1e9)
    assert refusals.open("large", NOW)
    error = refusals.given_up["small"]
    assert isinstance(error, StartupFailed)
    assert "did not start, on n1, n2, n3" in str(error)
    assert "No module named daskflow" in str(error)
    assert "`daskflow site check cedar`" in str(error)


def test_who_arrives_mends_what_failed_before() -> None:
    refusals = Refusals("cedar", 2)
    steps(refusals, "n1")
    refusals.arrived("small", "n1")
    assert steps(refusals, "n1") == [Step.again]


def test_a_node_on_which_all_failed_is_avoided_if_others_have_served() -> None:
    refusals = Refusals("cedar", 2)
    refusals.arrived("small", "n2")
    assert steps(refusals, "n1", "n1") == [Step.again, Step.avoid]
    assert refusals.avoided == ["n1"]
    # Elsewhere it is no better: that is no matter of nodes.
    assert steps(refusals, "n3", "n4") == [Step.again, Step.give_up]


def test_the_only_node_that_ever_served_is_not_avoided() -> None:
    refusals = Refusals("cedar", 2)
    refusals.arrived("small", "n1")
    assert steps(refusals, "n1", "n1") == [Step.again, Step.give_up]
    assert refusals.avoided == []


def test_other_pools_may_be_elsewhere() -> None:
    refusals = Refusals("cedar", 2)
    refusals.arrived("large", "n2")
    assert steps(refusals, "n1", "n1") == [Step.again, Step.give_up]


def test_a_pool_that_serves_pauses_longer_and_longer() -> None:
    refusals = Refusals("cedar", 1)
    assert steps(refusals, "n1", serving=True) == [Step.pause]
    assert not refusals.open("small", NOW + 59)
    assert refusals.open("small", NOW + 60)
    assert refusals.failed("small", failure(), serving=True, now=NOW + 60) is Step.pause
    assert not refusals.open("small", NOW + 179)
    refusals.arrived("small", "n2")
    assert refusals.refused("small", BatchRefused("no"), serving=True, now=NOW + 180) is Step.pause
    assert refusals.open("small", NOW + 240)


def test_several_refusals_of_one_moment_are_one_pause() -> None:
    refusals = Refusals("cedar", 1)
    many = BatchRefused("sbatch: error: QOSMaxSubmitJobPerUserLimit")
    for _ in range(5):
        assert refusals.refused("small", many, serving=False, now=NOW) is Step.pause
    assert refusals.open("small", NOW + 60)
    refusals.pause("small", NOW + 60)
    assert not refusals.open("small", NOW + 179)
    assert refusals.open("small", NOW + 180)


def test_limits_of_a_group_pass_too() -> None:
    refusals = Refusals("cedar", 1)
    policy = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
    for limit in ("AssocGrpSubmitJobsLimit", "QOSGrpSubmitJobsLimit"):
        text = f"sbatch: error: {limit}\nsbatch: error: Batch job submission failed: {policy}"
        assert refusals.refused("small", BatchRefused(text), serving=False, now=NOW) is Step.pause
    assert refusals.given_up == {}


def test_what_is_refused_is_given_up_unless_there_is_too_much_already() -> None:
    refusals = Refusals("cedar", 3)
    many = BatchRefused("sbatch: error: QOSMaxSubmitJobPerUserLimit")
    assert refusals.refused("small", many, serving=False, now=NOW) is Step.pause
    assert refusals.refused("small", BatchRefused("no such queue"), serving=False, now=NOW) is Step.give_up
    assert str(refusals.given_up["small"]) == "no such queue"


def test_a_log_without_a_word_is_told_as_such() -> None:
    refusals = Refusals("cedar", 1)
    steps(refusals, "")
    assert "The last pilot of the pool" in str(refusals.given_up["small"])
    assert "Nothing was written to the log." in str(refusals.given_up["small"])
