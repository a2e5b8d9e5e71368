from __future__ import annotations

import pytest

from daskflow.errors import AnswerRefused, NotFound
from daskflow.model.states import QuestionState
from daskflow.stores import Journal
from tests.stores.samples import RUN, python, question, run_record


def test_a_question_comes_back_as_it_was(journal: Journal) -> None:
    record = question("clean-1", key="clean-abc", form='{"type": "boolean"}', preset="true", deadline=9.0)
    assert journal.add_question(record) == record
    assert journal.question("clean-1") == record


@pytest.mark.parametrize("state", QuestionState)
def test_asking_again_opens_only_what_was_closed_without_an_answer(journal: Journal, state: QuestionState) -> None:
    first = question("q", state=state)
    journal.add_question(first)
    again = question("q", prompt="Still?", created=50.0, deadline=99.0)
    asked_anew = state in (QuestionState.expired, QuestionState.withdrawn)
    found = journal.add_question(again)
    assert found == (again.model_copy(update={"created": first.created}) if asked_anew else first)
    assert journal.question("q") == found


def test_an_answer_is_given_and_taken(journal: Journal) -> None:
    journal.add_question(question("q"))
    answered = journal.answer_question("q", '{"niter": 500}', "ada@cedar")
    assert (answered.state, answered.answer, answered.who) == (QuestionState.answered, '{"niter": 500}', "ada@cedar")
    assert answered.answered is not None
    assert answered.accepted is None
    accepted = journal.accept_answer("q")
    assert accepted.accepted is not None
    assert journal.accept_answer("q") == accepted == journal.question("q")


def test_who_comes_second_is_told_who_was_first(journal: Journal) -> None:
    journal.add_question(question("q"))
    journal.answer_question("q", "1", "ada@cedar")
    with pytest.raises(AnswerRefused, match=r"answered at \d{4}-.* by ada@cedar: 1\."):
        journal.answer_question("q", "2", "ben@cedar")
    assert journal.question("q").answer == "1"


@pytest.mark.parametrize("state", [QuestionState.expired, QuestionState.withdrawn])
def test_a_closed_question_takes_no_answer(journal: Journal, state: QuestionState) -> None:
    journal.add_question(question("q"))
    assert journal.close_question("q", state).state is state
    with pytest.raises(AnswerRefused, match=str(state)):
        journal.answer_question("q", "1", "ada")


def test_an_answer_of_the_last_moment_holds(journal: Journal) -> None:
    journal.add_question(question("q"))
    journal.answer_question("q", "1", "ada")
    assert journal.close_question("q", QuestionState.expired).answer == "1"


def test_a_refused_answer_opens_the_question_and_says_why(journal: Journal) -> None:
    journal.add_question(question("q"))
    journal.answer_question("q", "-1", "ada")
    found = journal.refuse_answer("q", "niter must be positive")
    assert found == question("q", note="niter must be positive")
    # There is nothing to refuse any more.
    assert journal.refuse_answer("q", "again") == found
    assert journal.answer_question("q", "1", "ada").answer == "1"
    assert journal.accept_answer("q").note == ""


def test_all_open_questions_are_one_list(journal: Journal) -> None:
    for record in (run_record(), run_record("child", parent=RUN), run_record("other")):
        journal.add_run(record)
    for number, run in enumerate([RUN, "child", "other", RUN]):
        journal.add_question(question(f"q{number}", run=run, created=float(-number)))
    journal.answer_question("q3", "1", "ada")

    def ids(run: str | None = None, **options: bool) -> list[str]:
        return [record.id for record in journal.questions(run, **options)]

    assert ids() == ["q2", "q1", "q0"]
    assert ids(open_only=False) == ["q3", "q2", "q1", "q0"]
    assert ids(RUN) == ["q0"]
    assert ids(RUN, open_only=False) == ["q3", "q0"]
    assert ids(RUN, tree=True) == ["q1", "q0"]


def test_finding_a_question(journal: Journal) -> None:
    for id in ("clean-17", "clean-18", "CLEAN-19"):
        journal.add_question(question(id))
    assert journal.question("clean-18").id == "clean-18"
    assert journal.question("CLEAN").id == "CLEAN-19"
    with pytest.raises(NotFound, match="2 questions: clean-17, clean-18"):
        journal.question("clean")
    for ident in ("nothing", "", "%"):
        with pytest.raises(NotFound, match="daskflow questions"):
            journal.question(ident)
    with pytest.raises(NotFound, match="'nothing'"):
        journal.close_question("nothing", QuestionState.expired)


def test_of_several_processes_that_answer_at_once_one_wins(journal: Journal) -> None:
    code = """
        import sys
        from daskflow.errors import AnswerRefused
        from daskflow.stores import Database, Journal
        with Database(sys.argv[1]) as database:
            journal = Journal(database)
            journal.question("q")
            print("ready", flush=True)
            sys.stdin.readline()
            try:
                journal.answer_question("q", sys.argv[2], "process " + sys.argv[2])
                print("won", flush=True)
            except AnswerRefused as error:
                print(error, flush=True)
    """
    journal.add_question(question("q"))
    others = [python(code, journal.database.url, number) for number in range(3)]
    for other in others:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
    for other in others:
        assert other.stdin is not None
        other.stdin.write("go\n")
        other.stdin.flush()
    told = [other.communicate(timeout=60)[0] for other in others]
    winner = told.index("won\n")
    assert journal.question("q").answer == str(winner)
    assert [text for text in told if f"by process {winner}: {winner}." in text] == [
        text for text in told if text != "won\n"
    ]
    assert len([text for text in told if text == "won\n"]) == 1
