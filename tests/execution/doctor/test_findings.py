"""Looks, which end in bounded time."""

from __future__ import annotations

import threading

from daskflow.errors import BatchSilent
from daskflow.execution.doctor.findings import Finding, Mark, bad, flat, good, look, odd, passed_over


def test_what_is_found_bears_the_name_of_the_check() -> None:
    (found,) = look("locks", lambda: good("they hold"), 60)
    assert (found.check, found.mark, found.text, found.cure) == ("locks", Mark.ok, "they hold", "")
    several = list(look("pool a", lambda: [bad("small", "grow"), odd("slow")._replace(check="own")], 60))
    assert [one.check for one in several] == ["pool a", "own"]


def test_errors_are_findings_with_their_cure() -> None:
    def fail() -> Finding:
        raise BatchSilent("sinfo does not answer. Try again.")

    (found,) = look("answers", fail, 60)
    assert found[:4] == ("answers", Mark.broken, "sinfo does not answer", "Try again.")


def test_what_nobody_thought_of_is_a_finding() -> None:
    def fail() -> Finding:
        raise ZeroDivisionError("oh")

    (found,) = look("odd", fail, 60)
    assert (found.mark, found.text) == (Mark.broken, "ZeroDivisionError: oh")


def test_what_hangs_is_left_behind() -> None:
    end = threading.Event()

    def hang() -> Finding:
        end.wait(60)
        return good("too late")

    try:
        (found,) = look("files", hang, 0.05)
    finally:
        end.set()
    assert (found.mark, found.text) == (Mark.broken, "no answer within 0.05 s")
    assert found.cure


def test_nothing_found() -> None:
    assert list(look("queues", list, 60)) == []
    assert passed_over("why").mark is Mark.skipped


def test_frames_are_left_out() -> None:
    assert flat("slurmctld is DOWN\n*******\n** RESTORE **\n") == "slurmctld is DOWN RESTORE"
