from daskflow.execution.agents.terms import Allowed


def test_nothing_is_allowed_unless_it_is_said() -> None:
    assert not Allowed().function("burst.fit")
    assert not Allowed().command(["convert", "a"])


def test_functions_are_allowed_by_their_names_or_by_packages() -> None:
    allowed = Allowed(("burst.fit", "lab.*"))
    assert allowed.function("burst.fit")
    assert allowed.function("lab.deep.measure")
    assert not allowed.function("burst.fit2")
    assert not allowed.function("laboratory.measure")


def test_a_line_for_the_shell_needs_that_all_is_allowed() -> None:
    allowed = Allowed(commands=("convert", "/opt/bin/*"))
    assert allowed.command(["convert", "a", "b"])
    assert allowed.command(["/opt/bin/fit", "a"])
    assert not allowed.command(["convert a b; rm -rf ."])
    assert not allowed.command(["rm", "a"])
    assert Allowed(commands=("*",)).command(["convert a b; ls"])


def test_no_pattern_leads_to_the_directory_above() -> None:
    allowed = Allowed(commands=("/opt/bin/*", "fit*"))
    for path in ("/opt/bin/../../bin/sh", "/opt/bin/..", "fit/../../bin/sh"):
        assert not allowed.command([path, "-c"])
    assert allowed.command(["/opt/bin/..fit", "a"])
    assert allowed.command(["/opt/bin/more/fit", "a"])
    assert Allowed(commands=("*",)).command(["../bin/sh", "-c"])
