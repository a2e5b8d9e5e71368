"""Drafts become jobs when their run needs them."""

import threading
from typing import Any

from daskflow.graph.drafts import Draft, Drafts


class Note(Draft):
    def __init__(self, name: str, made: list[str]) -> None:
        self.name, self.made = name, made

    def as_job(self) -> Any:
        self.made.append(self.name)


def test_drafts_become_jobs_in_their_order_and_once() -> None:
    made: list[str] = []
    drafts = Drafts()
    for name in "abc":
        drafts.add(Note(name, made))
    drafts.seal()
    drafts.seal()
    assert made == ["a", "b", "c"]


def test_a_thread_leaves_the_drafts_of_others_alone() -> None:
    made: list[str] = []
    drafts = Drafts()
    other = threading.Thread(target=lambda: drafts.add(Note("theirs", made)))
    other.start()
    other.join()
    drafts.add(Note("mine", made))
    drafts.seal()
    assert made == ["mine"]
    drafts.seal(all_threads=True)
    assert made == ["mine", "theirs"]


def test_a_draft_that_cannot_become_a_job_is_not_tried_again() -> None:
    class Broken(Note):
        def as_job(self) -> Any:
            super().as_job()
            raise ValueError(self.name)

    made: list[str] = []
    drafts = Drafts()
    drafts.add(Broken("a", made))
    for _ in range(2):
        try:
            drafts.seal()
        except ValueError as error:
            made.append(f"error {error}")
    assert made == ["a", "error a"]
