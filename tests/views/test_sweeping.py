"""`artifact gc`, as a process."""

from __future__ import annotations

from tests.views.conftest import Place


def test_gc_tells_what_it_would_do_and_does_it(place: Place) -> None:
    place.write("kept", "kept")
    place.write("spare", "spare bytes")
    place.run("artifact", "put", "kept")
    digest = place.json("artifact", "put", "spare")["digest"]
    place.run("artifact", "rm", "spare")
    assert "0 objects would be removed" in place.run("artifact", "gc", "--dry-run")
    out = place.run("artifact", "gc", "--dry-run", "--grace", "0 days")
    assert digest in out
    assert "1 object would be removed, which frees 11 B" in out
    found = place.json("artifact", "gc", "--grace", "0")
    assert (found["removed"], found["freed"], found["kept"]) == (1, 11, 1)
    assert "0 objects removed" in place.run("artifact", "gc", "--grace", "0")
    place.run("artifact", "get", "kept", "copy")


def test_gc_refuses_what_it_cannot_understand(place: Place) -> None:
    place.write("kept", "kept")
    place.run("artifact", "put", "kept")
    assert "--grace" in place.error("artifact", "gc", "--grace", "soon")
    assert "nonsense" in place.error("artifact", "gc", "--gone", "nonsense")


def test_gc_needs_a_project(place: Place) -> None:
    assert "no journal" in place.error("artifact", "gc")
    assert not (place.directory / ".daskflow").exists()
