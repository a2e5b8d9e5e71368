"""The journal's chapter of questions: what runs ask people, and what these answered."""

from __future__ import annotations

import time
from typing import Any

from daskflow.errors import AnswerRefused, NotFound
from daskflow.model.records import QuestionRecord
from daskflow.model.states import QuestionState
from daskflow.stores.chapter import Chapter, few, like
from daskflow.stores.dialect import Row
from daskflow.stores.patience import reading, writing

_FIELDS = (
    "id", "run", "key", "prompt", "form", "preset", "created", "deadline", "state", "answer", "note",
    "answered", "accepted", "who",
)  # fmt: skip


class Questions(Chapter):
    """Questions and their answers.

    Notes
    -----
    Any process may answer while the run is at work, or has no driver at the moment: of several who answer at once one
    wins. The run looks at the answer and takes it, or refuses it, which opens the question again.
    """

    @writing
    def add_question(self, record: QuestionRecord) -> QuestionRecord:
        """Ask; a resumed run asks again under the same id.

        Returns
        -------
        QuestionRecord
            The question as it now stands. One that is open or answered stays as it is; one that expired or was
            withdrawn is open again, as it is asked now.
        """
        with self.database.transaction():
            self.database.write("add_question", **_columns(record))
            found = self._stored_question(record.id)
            if found.state in (QuestionState.expired, QuestionState.withdrawn):
                found = self._save_question(record.model_copy(update={"created": found.created}))
        return found

    @reading
    def question(self, ident: str) -> QuestionRecord:
        """Find one question by its id, or by what its id alone begins with.

        Raises
        ------
        NotFound
            None fits, or several do; the message lists them.
        """
        rows = self.database.rows("question", id=ident)
        return _record(rows[0]) if rows else self._stored_question(self._question_id(ident))

    @reading
    def questions(self, run: str | None = None, *, open_only: bool = True, tree: bool = False) -> list[QuestionRecord]:
        """The questions of all runs or of one, in the order in which they were asked.

        Parameters
        ----------
        open_only
            Leave out those that need no answer any more.
        tree
            With those of the runs that the run started.
        """
        if run is None:
            return [_record(row) for row in self.database.rows("open_questions" if open_only else "all_questions")]
        rows = self.database.rows(
            "questions", runs=self.below(run) if tree else [run], state=QuestionState.open if open_only else ""
        )
        return [_record(row) for row in rows]

    @writing
    def answer_question(self, id: str, answer: str, who: str) -> QuestionRecord:
        """Answer an open question.

        Parameters
        ----------
        answer
            JSON text.
        who
            Who answers, for people.

        Raises
        ------
        NotFound
            No question of that id is recorded.
        AnswerRefused
            Somebody answered it already, or it is closed; the message says who and when.
        """
        with self.database.transaction():
            found = self.question(id)
            if found.state is not QuestionState.open:
                raise AnswerRefused(_too_late(found))
            return self._changed_question(
                found, state=QuestionState.answered, answer=answer, answered=time.time(), who=who
            )

    @writing
    def accept_answer(self, id: str) -> QuestionRecord:
        """The run takes the answer; nothing happens where it did before.

        Raises
        ------
        NotFound
        """
        with self.database.transaction():
            found = self._stored_question(id)
            if found.state is not QuestionState.answered or found.accepted is not None:
                return found
            return self._changed_question(found, accepted=time.time(), note="")

    @writing
    def refuse_answer(self, id: str, note: str) -> QuestionRecord:
        """The run refuses the answer: the question is open again, and shows why.

        Raises
        ------
        NotFound
        """
        with self.database.transaction():
            found = self._stored_question(id)
            if found.state is not QuestionState.answered:
                return found
            return self._changed_question(
                found, state=QuestionState.open, answer=None, answered=None, accepted=None, who="", note=note
            )

    @writing
    def close_question(self, id: str, state: QuestionState) -> QuestionRecord:
        """Close an open question without an answer: it expired, or is withdrawn.

        Returns
        -------
        QuestionRecord
            The question as it now stands: an answer that came in the last moment holds.

        Raises
        ------
        NotFound
        """
        with self.database.transaction():
            found = self._stored_question(id)
            return self._changed_question(found, state=state) if found.state is QuestionState.open else found

    def _changed_question(self, record: QuestionRecord, **fields: Any) -> QuestionRecord:
        return self._save_question(record.model_copy(update=fields))

    def _save_question(self, record: QuestionRecord) -> QuestionRecord:
        self.database.write("save_question", **_columns(record))
        return record

    def _stored_question(self, id: str) -> QuestionRecord:
        rows = self.database.rows("question", id=id)
        if not rows:
            raise NotFound(f"No question {id!r} is recorded in {self.database.place}.")
        return _record(rows[0])

    def _question_id(self, ident: str) -> str:
        ids = [id for (id,) in self.database.rows("question_ids_like", prefix=like(ident) + "%")]
        # LIKE does not mind case.
        fitting = [str(id) for id in ids if ident and id.startswith(ident)]
        if len(fitting) == 1:
            return fitting[0]
        if not fitting:
            raise NotFound(
                f"No question {ident!r} is recorded in {self.database.place}. `daskflow questions` lists the open ones."
            )
        raise NotFound(f"{ident!r} may be any of {len(fitting)} questions: {few(fitting)}. Give more of the id.")


def _record(row: Row) -> QuestionRecord:
    return QuestionRecord(**dict(zip(_FIELDS, row, strict=True)))


def _columns(record: QuestionRecord) -> dict[str, Any]:
    return dict(record) | {"state": record.state.value}


def _too_late(record: QuestionRecord) -> str:
    if record.state is QuestionState.answered:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.answered))
        return (
            f"The question {record.id} was answered at {when} by {record.who or 'somebody'}: {record.answer}. "
            "An answer is not changed."
        )
    if record.state is QuestionState.withdrawn:
        return f"The question {record.id} was withdrawn: its run {record.run} does not need an answer any more."
    return f"The question {record.id} has expired. Resume its run to be asked again: daskflow resume {record.run}"
