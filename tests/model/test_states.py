"""Which states are final, and which may follow which."""

import re
from pathlib import Path

from daskflow.model.states import JOB_TRANSITIONS, RUN_TRANSITIONS, JobState, RunState

ENDS = {JobState.succeeded, JobState.cached, JobState.failed, JobState.skipped, JobState.cancelled}
RUN_ENDS = {RunState.succeeded, RunState.failed, RunState.cancelled}


def test_every_state_stands_in_its_table() -> None:
    assert set(JOB_TRANSITIONS) == set(JobState)
    assert set(RUN_TRANSITIONS) == set(RunState)


def test_the_last_five_states_of_a_job_are_final() -> None:
    assert [state.final for state in JobState] == [False] * 4 + [True] * 5
    assert {state for state in JobState if state.final} == ENDS


def test_final_states_of_a_run() -> None:
    assert {state for state in RunState if state.final} == RUN_ENDS


def test_a_result_is_there_after_success_and_from_memory() -> None:
    assert {state for state in JobState if state.good} == {JobState.succeeded, JobState.cached}


def test_a_job_can_reach_each_state() -> None:
    reached = {JobState.created}
    while more := {after for state in reached for after in JOB_TRANSITIONS[state]} - reached:
        reached |= more
    assert reached == set(JobState)


def test_a_run_of_a_lost_driver_can_always_be_interrupted_and_resumed() -> None:
    for state in set(RunState) - RUN_ENDS - {RunState.interrupted}:
        assert RunState.interrupted in RUN_TRANSITIONS[state]
    assert RunState.running in RUN_TRANSITIONS[RunState.interrupted]


def test_no_step_leads_nowhere() -> None:
    assert all(state not in after for state, after in JOB_TRANSITIONS.items())
    assert all(state not in after for state, after in RUN_TRANSITIONS.items())


def test_states_are_their_text() -> None:
    assert JobState("cached") is JobState.cached
    assert f"{RunState.interrupted}" == "interrupted"


def documented(heading: str) -> dict[str, str]:
    """The rows of a table of `docs/concepts.md`: a state and what may follow it."""
    text = (Path(__file__).parents[2] / "docs" / "concepts.md").read_text(encoding="utf-8")
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", section, re.MULTILINE)
    return {state: re.sub(r"\([^)]*\)", "", after) for state, after in rows}


def test_the_documented_steps_of_a_job_are_these() -> None:
    rows = documented("States of a job")
    assert list(rows) == [str(state) for state in JobState]
    for state, after in rows.items():
        named = {JobState(name) for name in re.findall(r"`(\w+)`", after)}
        ends = ENDS if "any final state" in after else set()
        assert named | ends == JOB_TRANSITIONS[JobState(state)]


def test_the_documented_steps_of_a_run_are_these() -> None:
    rows = documented("States of a run")
    assert list(rows) == [str(state) for state in RunState]
    for state, after in rows.items():
        named = {RunState(name) for name in re.findall(r"`(\w+)`", after)}
        assert named == RUN_TRANSITIONS[RunState(state)]
