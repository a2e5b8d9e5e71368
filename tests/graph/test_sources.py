from __future__ import annotations

import ast
import gc
import pathlib
import sys
import textwrap
import threading
from types import CodeType, FunctionType
from typing import Any, cast

import pytest

from daskflow.graph import sources
from daskflow.graph.sources import SourceFile, code_text, function_tree, same_code, source_file


def compiled(source: str, name: str = "f") -> CodeType:
    space: dict[str, Any] = {}
    exec(source, space)
    code: CodeType = space[name].__code__
    return code


def found(source: str, loaded: str, name: str = "f") -> str | None:
    tree = SourceFile(source, "file.py").function(compiled(loaded, name))
    return None if tree is None else ast.unparse(tree)


def test_the_tree_is_found_wherever_the_function_has_moved() -> None:
    assert found("\n\n# more\n\ndef f(x):\n    return x\n", "def f(x):\n    return x\n") == "def f(x):\n    return x"


def test_several_threads_read_sources_at_once() -> None:
    text = pathlib.Path(sources.__file__).read_text("utf-8")
    errors: list[Exception] = []

    def read() -> None:
        try:
            for _ in range(15):
                SourceFile(text, "file.py")
        except Exception as error:  # of whatever kind, in a thread
            errors.append(error)

    # Python code runs at each collection, which then lets other threads go on.
    def collected(*_: object) -> None:
        [number for number in range(50)]  # noqa: C416

    gc.callbacks.append(collected)
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(50)
    try:
        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*threshold)
        gc.callbacks.remove(collected)
    assert errors == []


def test_no_tree_of_other_code_is_handed_out() -> None:
    source = "def f(x):\n    return x + 1\n"
    for other in ("x + 2", "x - 1", "y + 1", "(lambda: x)()", "x in {1, 2}"):
        assert found(source, f"y = 0\ndef f(x):\n    return {other}\n") is None
    assert found(source, "def f(x, y=0):\n    return x + 1\n") is None


def test_of_several_functions_of_one_name_the_one_with_the_code() -> None:
    source = "class A:\n    def f(self):\n        return 1\nclass B:\n    def f(self):\n        return 2\n"
    assert found(source, "def f(self):\n    return 2\n") == "def f(self):\n    return 2"


def test_of_several_alike_the_nearest() -> None:
    source = "def f(x: int):\n    return x\n\n\n\n\n\n\n\ndef f(x: str):\n    return x\n"
    assert found(source, "def f(x):\n    return x\n") == "def f(x: int):\n    return x"
    assert found(source, "\n" * 12 + "def f(x):\n    return x\n") == "def f(x: str):\n    return x"


LAMBDAS = """
a, b, c = lambda x: x, lambda x: x, lambda x: -x
d = lambda x, k=lambda y: y + 1: k(x) * 2
e = [lambda x: x * 3 for _ in range(1)][0]; g = lambda x: (lambda x: x + 5)(x)
h = lambda x: (
    x
    + 6)
i = lambda: None
j = lambda: 1
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a", "lambda x: x"),
        ("b", "lambda x: x"),
        ("c", "lambda x: -x"),
        ("d", "lambda x, k=lambda y: y + 1: k(x) * 2"),
        ("e", "lambda x: x * 3"),
        ("g", "lambda x: (lambda x: x + 5)(x)"),
        ("h", "lambda x: x + 6"),
        ("i", "lambda: None"),
        ("j", "lambda: 1"),
    ],
)
def test_lambdas_of_one_line_are_told_apart(name: str, text: str) -> None:
    assert found(LAMBDAS, LAMBDAS, name) == text


def test_a_default_lambda_is_told_apart_from_the_lambda_around_it() -> None:
    space: dict[str, Any] = {}
    exec(LAMBDAS, space)
    inner = space["d"].__defaults__[0]
    tree = SourceFile(LAMBDAS, "file.py").function(inner.__code__)
    assert tree is not None
    assert ast.unparse(tree) == "lambda y: y + 1"


def test_decorated_functions_begin_at_their_decorators() -> None:
    source = "import functools\n@task(\n    7,\n)\n@functools.lru_cache\ndef f():\n    return 1\n"
    space: dict[str, Any] = {"task": lambda _: lambda f: f}
    exec(source, space)
    tree = SourceFile(source, "file.py").function(space["f"].__wrapped__.__code__)
    assert tree is not None
    assert len(tree.decorator_list) == 2  # type: ignore[union-attr]


def test_a_file_is_read_again_when_it_changed(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("def f():\n    return 1\n")
    first = source_file(str(file))
    assert first is source_file(str(file))
    file.write_text("def f():\n    return 12\n")
    assert source_file(str(file)) is not first
    file.write_text("def f(:\n")
    assert source_file(str(file)) is None
    file.unlink()
    assert source_file(str(file)) is None


def test_a_function_of_a_real_file_has_its_tree() -> None:
    tree = function_tree(cast("FunctionType", textwrap.dedent))
    assert isinstance(tree, ast.FunctionDef)
    assert tree.name == "dedent"


def test_a_function_that_was_compiled_from_another_tree_has_none() -> None:
    # pytest writes its own code in place of each `assert`.
    function: Any = test_a_function_that_was_compiled_from_another_tree_has_none
    assert function_tree(function) is None


def test_code_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "def only_here(x):\n    return x + 12345\n"
    monkeypatch.setattr(sys, "orig_argv", ["python", "-Wd", "-Ic", source, "argument"])
    space: dict[str, Any] = {}
    exec(compile(source, "<string>", "exec"), space)
    assert function_tree(space["only_here"]) is not None
    monkeypatch.setattr(sys, "orig_argv", ["python", "script.py"])
    assert function_tree(space["only_here"]) is None


SAME_CODE = [
    ("def f():\n    return 1", "\n\ndef f():\n    return 1", True),
    ("def f():\n    return 1", "from __future__ import annotations\ndef f():\n    return 1", True),
    ("def f():\n    return 1", "def f():\n    return 1.0", False),
    ("def f():\n    return 1", "def f():\n    return True", False),
    ("def f():\n    return 0.0", "def f():\n    return -0.0", False),
    ("def f(x):\n    return x in {'a', 'b'}", "def f(x):\n    return x in {'b', 'a'}", True),
    ("def f(a, b):\n    return a", "def f(a, /, b):\n    return a", False),
    ("def f(a, b):\n    return a", "def f(a, *, b):\n    return a", False),
    ("def f(x):\n    return x.a", "def f(x):\n    return x.b", False),
    ("def f(x):\n    return lambda: 1", "def f(x):\n    return lambda: 2", False),
    ("def f(x):\n    yield 1", "def f(x):\n    return 1", False),
]


@pytest.mark.parametrize(("one", "other", "same"), SAME_CODE)
def test_codes_are_compared_by_what_they_do(one: str, other: str, same: bool) -> None:
    assert same_code(compiled(one), compiled(other)) is same
    assert (code_text(compiled(one)) == code_text(compiled(other))) is same


def test_the_text_of_bytecode_leaves_docstrings_out() -> None:
    other = "def f():\n    'Text.'\n    return g()"
    assert code_text(compiled(other)) == code_text(compiled(other.replace("Text", "Other")))
    assert not same_code(compiled(other), compiled(other.replace("Text", "Other")))
    assert code_text(compiled("f = lambda: 'a'")) != code_text(compiled("f = lambda: 'b'"))
