# ruff: noqa: E501  (each small project stands in one line, beside its change)

from __future__ import annotations

import functools
import importlib
import json
import pathlib
import re
import shutil
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.interpolate

import daskflow
from daskflow.errors import NoKey
from daskflow.graph.fingerprint import fingerprint, fingerprint_of
from tests.graph.projects import PRINT, Project, task


@pytest.fixture
def project(tmp_path: pathlib.Path) -> Iterator[Project]:
    made = Project(tmp_path / "project")
    yield made
    made.forget()


class Case(NamedTuple):
    """Two versions of a project: the second is the first with `old` replaced by `new`."""

    name: str
    files: dict[str, str]
    old: str
    new: str
    function: str = "f"


def one(name: str, text: str, old: str, new: str, function: str = "f") -> Case:
    return Case(name, {"flows.py": text}, old, new, function)


HELPERS = {"helpers.py": "LIMIT = 3\n\ndef deep(x):\n    return x + LIMIT\n\ndef clean(x):\n    return deep(x) * 2\n"}
PACKAGE = {
    "pack/__init__.py": "",
    "pack/inner/__init__.py": "from .. import base\n",
    "pack/inner/steps.py": "from ..base import scale\n\ndef clean(x):\n    return scale(x)\n",
    "pack/base.py": "FACTOR = 2\n\ndef scale(x):\n    return x * FACTOR\n",
}

CHANGES = [
    one("operator", "def f(x):\n    return x + 1\n", "x + 1", "x - 1"),
    one("constant in the body", "def f(x):\n    return x + 1\n", "x + 1", "x + 1.0"),
    one("name of an argument", "def f(x):\n    return 1\n", "(x)", "(z)"),
    one("kind of an argument", "def f(x, y):\n    return 1\n", "(x, y)", "(x, *, y)"),
    one("default", "def f(x=1):\n    return x\n", "x=1", "x=2"),
    one("default of a keyword", "def f(*, x=1):\n    return x\n", "x=1", "x=2"),
    one("default computed from a global", "N = 3\ndef f(x=N + 1):\n    return x\n", "N = 3", "N = 4"),
    one("two calls deep", "def a(x):\n    return x + 1\ndef b(x):\n    return a(x)\ndef f(x):\n    return b(x)\n", "+", "-"),
    one("global number", "K = 3\ndef f(x):\n    return x * K\n", "K = 3", "K = 4"),
    one("type of a global number", "K = 3\ndef f(x):\n    return x * K\n", "K = 3", "K = 3.0"),
    one("nested container", "K = {'a': [1, (2, {3})]}\ndef f(x):\n    return K['a']\n", "{3}", "{4}"),
    one("pattern", "import re\nP = re.compile('a+')\ndef f(x):\n    return P.match(x)\n", "a+", "a*"),
    one("flags of a pattern", "import re\nP = re.compile('a', 0)\ndef f(x):\n    return P.match(x)\n", ", 0)", ", 2)"),
    one("global path", "from pathlib import Path\nP = Path('one/d.csv')\ndef f():\n    return P.read_text()\n", "one", "two"),
    one("array", "import numpy as np\nA = np.array([1, 2])\ndef f():\n    return A.sum()\n", "2]", "3]"),
    one("enum", "import enum\nclass E(enum.Enum):\n    A = 1\ndef f():\n    return E.A.value\n", "A = 1", "A = 2"),
    one("member of an enum", "import enum\nclass E(enum.Enum):\n    A = 1\n    B = 2\nG = E.A\ndef f():\n    return G\n", "G = E.A", "G = E.B"),
    one("method of an enum", "import enum\nclass E(enum.Enum):\n    A = 1\n    def g(self):\n        return 1\ndef f():\n    return E.A.g()\n", "return 1", "return 2"),
    one("lambda", "g = lambda x: x + 1\ndef f(x):\n    return g(x)\n", "+", "-"),
    one("first of two lambdas", "g, h = lambda x: x + 1, lambda x: x * 1\ndef f(x):\n    return g(x)\n", "+", "-"),
    one("second of two lambdas", "g, h = lambda x: x + 1, lambda x: x * 1\ndef f(x):\n    return h(x)\n", "*", "-"),
    one("third lambda, after two that are equal", "g, g2, h = lambda x: x, lambda x: x, lambda x: -x\ndef f(x):\n    return h(x)\n", "-x", "+x"),
    one("lambda in the default of a lambda", "g = lambda x, k=lambda y: y + 1: k(x) * 2\ndef f(x):\n    return g(x)\n", "+ 1", "- 1"),
    one("nested function", "def f(x):\n    def g(y):\n        return y + 1\n    return g(x)\n", "+", "-"),
    one("global of a nested function", "K = 1\ndef f(x):\n    def g(y):\n        return y + K\n    return g(x)\n", "K = 1", "K = 2"),
    one("comprehension", "def g(i):\n    return i\ndef f(x):\n    return [g(i) for i in x]\n", "return i\n", "return -i\n"),
    one("generator", "def g():\n    yield 1\ndef f():\n    return list(g())\n", "yield 1", "yield 2"),
    one("coroutine", "async def g():\n    return 1\ndef f():\n    import asyncio\n    return asyncio.run(g())\n", "return 1", "return 2"),
    one("closure", "def make(n):\n    def inner(x):\n        return x + n\n    return inner\nf = make(1)\n", "make(1)", "make(2)"),
    one("function in a closure", "def g(x):\n    return x + 1\ndef make(h):\n    def inner(x):\n        return h(x)\n    return inner\nf = make(g)\n", "+ 1", "+ 2"),
    one("module in a closure", "def make():\n    import other\n    def inner(x):\n        return other.g(x)\n    return inner\nf = make()\n", "make()\n", "make()\n# only other.py changes\n")._replace(
        files={"flows.py": "def make():\n    import other\n    def inner(x):\n        return other.g(x)\n    return inner\nf = make()\n", "other.py": "def g(x):\n    return x + 1\n"}, old="+ 1", new="+ 2"
    ),
    one("partial", "from functools import partial\ndef g(x, n):\n    return x + n\nf = partial(g, n=1)\n", "n=1", "n=2"),
    one("function of a partial", "from functools import partial\ndef g(x, n):\n    return x + n\nh = partial(g, n=1)\ndef f(x):\n    return h(x)\n", "x + n", "x - n"),
    one("itemgetter", "from operator import itemgetter\ng = itemgetter(1)\ndef f(x):\n    return g(x)\n", "(1)", "(2)"),
    one("method of a constant", "g = {1: 2}.get\ndef f(x):\n    return g(x)\n", "{1: 2}", "{1: 3}"),
    one("wraps", "import functools\ndef double(g):\n    @functools.wraps(g)\n    def inner(x):\n        return g(x) * 2\n    return inner\n@double\ndef h(x):\n    return x\ndef f(x):\n    return h(x)\n", "* 2", "* 3"),
    one("what is wrapped", "import functools\ndef double(g):\n    @functools.wraps(g)\n    def inner(x):\n        return g(x) * 2\n    return inner\n@double\ndef f(x):\n    return x + 1\n", "x + 1", "x + 2"),
    one("argument of a decorator", "def add(n):\n    def wrap(g):\n        return lambda x: g(x) + n\n    return wrap\n@add(1)\ndef f(x):\n    return x\n", "@add(1)", "@add(2)"),
    one("global in the argument of a library's decorator", "import functools\nN = 1\n@functools.lru_cache(N)\ndef g(x):\n    return x\ndef f(x):\n    return g(x)\n", "N = 1", "N = 2"),
    one("cached function", "import functools\n@functools.lru_cache\ndef g(x):\n    return x + 1\ndef f(x):\n    return g(x)\n", "+", "-"),
    one("context manager", "import contextlib\n@contextlib.contextmanager\ndef g():\n    yield 1\ndef f():\n    with g() as x:\n        return x\n", "yield 1", "yield 2"),
    one("single dispatch", "import functools\n@functools.singledispatch\ndef g(x):\n    return 1\n@g.register\ndef _(x: int):\n    return 2\ndef f(x):\n    return g(x)\n", "return 2", "return 3"),
    one("default of single dispatch", "import functools\n@functools.singledispatch\ndef g(x):\n    return 1\n@g.register\ndef _(x: int):\n    return 2\ndef f(x):\n    return g(x)\n", "return 1", "return 3"),
    one("vectorized function", "import numpy as np\ndef g(x):\n    return x + 1\nh = np.vectorize(g)\ndef f(x):\n    return h(x)\n", "+ 1", "+ 2"),
    one("mutual recursion", "def a(n):\n    return b(n - 1) if n else 0\ndef b(n):\n    return a(n - 1) + 1\ndef f(n):\n    return a(n)\n", "+ 1", "+ 2"),
    one("order of arguments between two globals", "A, B = 1, 2\ndef f():\n    return A - B\n", "A, B = 1, 2", "A, B = 2, 1"),
    one("method", "class C:\n    def m(self):\n        return 1\ndef f():\n    return C().m()\n", "return 1", "return 2"),
    one("what a method uses", "K = 1\nclass C:\n    def m(self):\n        return K\ndef f():\n    return C().m()\n", "K = 1", "K = 2"),
    one("base class", "class B:\n    def m(self):\n        return 1\nclass C(B):\n    pass\ndef f():\n    return C().m()\n", "return 1", "return 2"),
    one("super", "class B:\n    def m(self):\n        return 1\nclass C(B):\n    def m(self):\n        return super().m()\ndef f():\n    return C().m()\n", "return 1", "return 2"),
    one("order of the bases", "class A:\n    m = 1\nclass B:\n    m = 2\nclass C(A, B):\n    pass\ndef f():\n    return C.m\n", "(A, B)", "(B, A)"),
    one("metaclass", "class M(type):\n    def g(cls):\n        return 1\nclass C(metaclass=M):\n    pass\ndef f():\n    return C.g()\n", "return 1", "return 2"),
    one("class attribute", "class C:\n    n = 1\ndef f():\n    return C.n\n", "n = 1", "n = 2"),
    one("class attribute from a global", "K = 1\nclass C:\n    n = K\ndef f():\n    return C.n\n", "K = 1", "K = 2"),
    one("property", "class C:\n    @property\n    def n(self):\n        return 1\ndef f():\n    return C().n\n", "return 1", "return 2"),
    one("setter", "class C:\n    @property\n    def n(self):\n        return 1\n    @n.setter\n    def n(self, v):\n        self.v = v\ndef f():\n    return C().n\n", "self.v = v", "self.v = -v"),
    one("cached property", "import functools\nclass C:\n    @functools.cached_property\n    def n(self):\n        return 1\ndef f():\n    return C().n\n", "return 1", "return 2"),
    one("class method", "class C:\n    @classmethod\n    def n(cls):\n        return 1\ndef f():\n    return C.n()\n", "return 1", "return 2"),
    one("static method", "class C:\n    @staticmethod\n    def n():\n        return 1\ndef f():\n    return C.n()\n", "return 1", "return 2"),
    one("kind of a method", "class C:\n    @staticmethod\n    def n(x=1):\n        return x\ndef f():\n    return C().n()\n", "staticmethod", "classmethod"),
    one("operator of a class", "class C:\n    def __add__(self, x):\n        return 1\ndef f():\n    return C() + 1\n", "return 1", "return 2"),
    one("dispatched method", "import functools\nclass C:\n    @functools.singledispatchmethod\n    def n(self, x):\n        return 1\n    @n.register\n    def _(self, x: int):\n        return 2\ndef f():\n    return C().n(1)\n", "return 2", "return 3"),
    one("bound method as a global", "class C:\n    def __init__(self, n):\n        self.n = n\n    def m(self):\n        return self.n\ng = C(1).m\ndef f():\n    return g()\n", "C(1)", "C(2)"),
    one("instance as a global", "class C:\n    def __init__(self, n):\n        self.n = n\nc = C(1)\ndef f():\n    return c.n\n", "C(1)", "C(2)"),
    one("class of an instance", "class C:\n    def m(self):\n        return 1\nc = C()\ndef f():\n    return c.m()\n", "return 1", "return 2"),
    one("callable instance", "class C:\n    def __call__(self):\n        return 1\nc = C()\ndef f():\n    return c()\n", "return 1", "return 2"),
    one("slots", "class C:\n    __slots__ = ('n',)\n    def __init__(self, n):\n        self.n = n\nc = C(1)\ndef f():\n    return c.n\n", "C(1)", "C(2)"),
    one("field of a dataclass", "from dataclasses import dataclass\n@dataclass\nclass D:\n    n: int = 1\ndef f():\n    return D().n\n", "= 1", "= 2"),
    one("default factory", "from dataclasses import dataclass, field\n@dataclass\nclass D:\n    n: list = field(default_factory=lambda: [1])\ndef f():\n    return D().n\n", "[1]", "[2]"),
    one("order of the fields", "from dataclasses import dataclass\n@dataclass\nclass D:\n    a: int\n    b: int\ndef f():\n    return D(1, 2)\n", "a: int\n    b: int", "b: int\n    a: int"),
    one("option of a dataclass", "from dataclasses import dataclass\n@dataclass(order=True)\nclass D:\n    a: int\ndef f():\n    return D(1) < D(2)\n", "order=True", "order=False"),
    one("method of a dataclass", "from dataclasses import dataclass\n@dataclass\nclass D:\n    a: int\n    def __post_init__(self):\n        self.a += 1\ndef f():\n    return D(1)\n", "+= 1", "+= 2"),
    one("own comparison of a dataclass", "from dataclasses import dataclass\n@dataclass\nclass D:\n    a: int\n    def __eq__(self, x):\n        return True\ndef f():\n    return D(1) == 2\n", "True", "False"),
    one("named tuple", "from typing import NamedTuple\nclass T(NamedTuple):\n    a: int = 1\ndef f():\n    return T()\n", "= 1", "= 2"),
    one("method of a named tuple", "from typing import NamedTuple\nclass T(NamedTuple):\n    a: int = 1\n    def g(self):\n        return 1\ndef f():\n    return T().g()\n", "return 1", "return 2"),
    one("default of a model", "from pydantic import BaseModel\nclass M(BaseModel):\n    n: int = 1\ndef f():\n    return M().n\n", "= 1", "= 2"),
    one("type of a model's field", "from pydantic import BaseModel\nclass M(BaseModel):\n    n: int = 1\ndef f():\n    return M(n='1').n\n", "n: int", "n: float"),
    one("limit of a model's field", "from pydantic import BaseModel, Field\nclass M(BaseModel):\n    n: int = Field(1, ge=0)\ndef f():\n    return M(n=-1).n\n", "ge=0", "ge=-1"),
    one("validator", "from pydantic import BaseModel, field_validator\nclass M(BaseModel):\n    n: int = 1\n    @field_validator('n')\n    @classmethod\n    def check(cls, v):\n        return v + 1\ndef f():\n    return M(n=1).n\n", "v + 1", "v + 2"),
    one("mode of a validator", "from pydantic import BaseModel, field_validator\nclass M(BaseModel):\n    n: int = 1\n    @field_validator('n', mode='before')\n    @classmethod\n    def check(cls, v):\n        return v\ndef f():\n    return M(n=1).n\n", "before", "after"),
    one("validator in an annotation", "from typing import Annotated\nfrom pydantic import BaseModel, AfterValidator\ndef up(v):\n    return v + 1\nclass M(BaseModel):\n    n: Annotated[int, AfterValidator(up)] = 1\ndef f():\n    return M(n=1).n\n", "v + 1", "v + 2"),
    one("nested model", "from pydantic import BaseModel\nclass N(BaseModel):\n    k: int = 1\nclass M(BaseModel):\n    n: N = N()\ndef f():\n    return M().n.k\n", "k: int = 1", "k: int = 2"),
    one("configuration of a model", "from pydantic import BaseModel, ConfigDict\nclass M(BaseModel):\n    model_config = ConfigDict(extra='allow')\ndef f():\n    return M(a=1)\n", "allow", "ignore"),
    one("union as a global", "T = int | str\ndef f(x):\n    return isinstance(x, T)\n", "int | str", "int | bytes"),
    one("attribute of a function", "def g(x):\n    return g.n\ng.n = 1\ndef f(x):\n    return g(x)\n", "g.n = 1", "g.n = 2"),
    one("another task", "from daskflow.graph.task import declare\ndef g(x):\n    return x + 1\nh = declare(g, None, {})\ndef f(x):\n    return h.function(x)\n", "+ 1", "+ 2"),
    one("try", "def f(x):\n    try:\n        x = 1\n        x = 2\n    except ValueError:\n        pass\n    return x\n", "    x = 2\n    except ValueError:\n        pass\n", "    pass\n    except ValueError:\n        pass\n    x = 2\n"),
    one("global declared", "K = 1\ndef f():\n    global K\n    K += 1\n    return K\n", "K = 1", "K = 2"),
    one("walrus", "def g():\n    return 1\ndef f():\n    if (x := g()):\n        return x\n", "return 1", "return 2"),
    Case("import helpers", {**HELPERS, "flows.py": "import helpers\ndef f(x):\n    return helpers.clean(x)\n"}, "x + LIMIT", "x - LIMIT"),
    Case("import helpers as h", {**HELPERS, "flows.py": "import helpers as h\ndef f(x):\n    return h.clean(x)\n"}, "LIMIT = 3", "LIMIT = 4"),
    Case("from helpers import clean", {**HELPERS, "flows.py": "from helpers import clean\ndef f(x):\n    return clean(x)\n"}, "* 2", "* 3"),
    Case("import inside the function", {**HELPERS, "flows.py": "def f(x):\n    import helpers\n    return helpers.clean(x)\n"}, "* 2", "* 3"),
    Case("import as inside the function", {**HELPERS, "flows.py": "def f(x):\n    import helpers as h\n    return [h.clean(i) for i in x]\n"}, "LIMIT = 3", "LIMIT = 4"),
    Case("from import inside the function", {**HELPERS, "flows.py": "def f(x):\n    from helpers import clean\n    return clean(x)\n"}, "LIMIT = 3", "LIMIT = 4"),
    Case("module as a value", {**HELPERS, "flows.py": "import helpers\ndef f(x):\n    return getattr(helpers, 'clean')(x)\n"}, "LIMIT = 3", "LIMIT = 4"),
    Case("package.submodule.function", {**PACKAGE, "flows.py": "import pack.inner.steps\ndef f(x):\n    return pack.inner.steps.clean(x)\n"}, "* FACTOR", "/ FACTOR"),
    Case("package.submodule inside the function", {**PACKAGE, "flows.py": "def f(x):\n    import pack.inner.steps\n    return pack.inner.steps.clean(x)\n"}, "* FACTOR", "/ FACTOR"),
    Case("package.submodule as name inside the function", {**PACKAGE, "flows.py": "def f(x):\n    import pack.inner.steps as s\n    return s.clean(x)\n"}, "* FACTOR", "/ FACTOR"),
    Case("from package import submodule inside the function", {**PACKAGE, "flows.py": "def f(x):\n    from pack.inner import steps\n    return steps.clean(x)\n"}, "FACTOR = 2", "FACTOR = 3"),
    Case("relative import", {**PACKAGE, "flows.py": "from pack.inner.steps import clean as f\n"}, "FACTOR = 2", "FACTOR = 3"),
    Case("relative import inside the function", {**PACKAGE, "pack/late.py": "def f(x):\n    from .inner.steps import clean\n    return clean(x)\n", "flows.py": "from pack.late import f\n"}, "FACTOR = 2", "FACTOR = 3"),
    Case("module named like one of the standard library", {"profile.py": "def g(x):\n    return x + 1\n", "flows.py": "import sys\nsys.modules.pop('profile', None)\nimport profile\ndef f(x):\n    return profile.g(x)\n"}, "+ 1", "+ 2"),
]  # fmt: skip


def changed(project: Project, case: Case) -> tuple[str, str]:
    before = project.write(case.files).fingerprint(case.function).id
    replaced = {name: textwrap.dedent(text).replace(case.old, case.new) for name, text in case.files.items()}
    assert replaced != {name: textwrap.dedent(text) for name, text in case.files.items()}
    return before, project.write(replaced).fingerprint(case.function).id


@pytest.mark.parametrize("case", CHANGES, ids=lambda case: case.name)
def test_what_changes_a_fingerprint(project: Project, case: Case) -> None:
    before, after = changed(project, case)
    assert before != after


SAME = [
    one("comment", "def f(x):\n    return x\n", "return x", "return x  # as it is"),
    one("docstring", "def f(x):\n    'Old.'\n    return x\n", "Old", "New"),
    one("new docstring", "def f(x):\n    return x\n", "    return", "    'New.'\n    return"),
    one("docstring of a class", "class C:\n    'Old.'\n    def m(self):\n        'Old.'\n        return 1\ndef f():\n    return C().m()\n", "Old", "New"),
    one("docstring of the module", "'Old.'\ndef f(x):\n    return x\n", "Old", "New"),
    one("docstring of a nested function", "def f(x):\n    def g():\n        'Old.'\n    return g\n", "Old", "New"),
    one("formatting", "def f(x, y):\n    return [x, 'a', 10]\n", "def f(x, y):\n    return [x, 'a', 10]", "def f(x,\n      y):\n\n    return [ x,\n  \"a\", 1_0, ]"),
    one("unrelated function", "def f(x):\n    return x\ndef g():\n    return 1\n", "return 1", "return 2"),
    one("unrelated global", "K = 1\ndef f(x):\n    return x\n", "K = 1", "K = 2"),
    one("position", "def f(x):\n    return [i for i in x]\n", "def f", "import os\n\n\nclass Other:\n    pass\n\n\ndef f"),
    one("local name equal to a global", "scale = 1\ndef f(x):\n    scale = x\n    return scale, x.scale\n", "scale = 1", "scale = 2"),
    one("argument equal to a global", "scale = 1\ndef f(scale):\n    return [scale for _ in scale]\n", "scale = 1", "scale = 2"),
    one("variable of a comprehension equal to a global", "i = 1\ndef f(x):\n    return [i for i in x]\n", "i = 1", "i = 2"),
    one("walrus equal to a global", "y = 1\ndef f(x):\n    return (y := x) + y\n", "y = 1", "y = 2"),
    one("attribute equal to a global", "sum_ = 1\ndef f(x):\n    return x.sum_\n", "sum_ = 1", "sum_ = 2"),
    one("class only in annotations", "class C:\n    n = 1\ndef f(x: C) -> C:\n    y: C = x\n    return y\n", "n = 1", "n = 2"),
    one("policy of a task", "from daskflow.graph.task import declare\ndef task(**p):\n    return lambda g: declare(g, None, p)\n@task(retries=1)\ndef f(x):\n    return x\n", "retries=1", "retries=2"),
    one("logger", "import logging\nlog = logging.getLogger('a')\ndef f(x):\n    log.info(x)\n", "'a'", "'b'"),
    one("order of functions", "def a():\n    return 1\n\ndef b():\n    return 2\n\ndef f():\n    return a() + b()\n", "def a():\n    return 1\n\ndef b():\n    return 2\n", "def b():\n    return 2\n\ndef a():\n    return 1\n"),
    one("order of methods", "class C:\n    def a(self):\n        return 1\n    def b(self):\n        return 2\ndef f():\n    return C\n", "    def a(self):\n        return 1\n    def b(self):\n        return 2\n", "    def b(self):\n        return 2\n    def a(self):\n        return 1\n"),
    one("order of a dictionary", "K = {'a': 1, 'b': 2}\ndef f():\n    return K\n", "'a': 1, 'b': 2", "'b': 2, 'a': 1"),
    one("name of a global function's module attribute", "def f():\n    return __name__\n", "return __name__", "return __name__  # where it lies is no code"),
    Case("unrelated helper", {**HELPERS, "flows.py": "import helpers\ndef f(x):\n    return helpers.deep(x)\n"}, "* 2", "* 3"),
    Case("unused module", {**HELPERS, "flows.py": "import helpers\ndef f(x):\n    return x\n"}, "* 2", "* 3"),
    Case("other submodule", {**PACKAGE, "pack/other.py": "Z = 1\n", "flows.py": "import pack.other\nimport pack.base\ndef f(x):\n    return pack.base.scale(x)\n"}, "Z = 1", "Z = 2"),
]  # fmt: skip


@pytest.mark.parametrize("case", SAME, ids=lambda case: case.name)
def test_what_does_not_change_a_fingerprint(project: Project, case: Case) -> None:
    before, after = changed(project, case)
    assert before == after


EVERYTHING = """
import enum
import functools
import os
import pathlib
import re
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel

HERE = pathlib.Path(__file__).parent if "__file__" in globals() else pathlib.Path.cwd()
DATA = HERE / "data" / "in.csv"
FOLDER = os.path.join(str(HERE), "out")
NAMES = {"alpha", "beta", "gamma"}
TABLE = {"x": frozenset({"a", "b", "c"}), "y": [np.arange(3), re.compile("a+"), {"z": {"p", "q"}}]}


class Color(enum.Enum):
    RED = 1


@dataclass
class Point:
    x: int = 1
    tags: list = field(default_factory=list)


class Pair(NamedTuple):
    a: int
    b: int = 2


class Options(BaseModel):
    order: int = 2


class Base:
    def scale(self, x):
        return x * 2


class Model(Base):
    n = 3

    def scale(self, x):
        return super().scale(x) + self.n


@functools.lru_cache
def cached(x):
    return x in {"one", "two", "three"}


half = lambda x: x / 2


def helper(x):
    return [half(i) for i in x if cached(i)], Point(), Pair(1), Options(), Color.RED


def f(x):
    import json

    return json.dumps(x), helper(x), Model().scale(x), NAMES, TABLE, DATA, FOLDER, np.sin(x)
"""


def test_one_fingerprint_in_module_script_command_and_other_processes(project: Project, tmp_path: pathlib.Path) -> None:
    project.write({"flows.py": EVERYTHING, "renamed/again.py": "", "pyproject.toml": ""})
    expected = project.fingerprint().id
    script = EVERYTHING + PRINT.format(name="f")
    project.write({"script.py": script, "renamed/again.py": EVERYTHING})
    seen = {
        "script": project.run("script.py", PYTHONHASHSEED="1"),
        "module": project.run("-c", PRINT.format(name="f").replace("\n", "\nfrom flows import f\n", 1), PYTHONHASHSEED="2"),
        "renamed module": project.run("-c", "from renamed.again import f" + PRINT.format(name="f")),
        "python -m": project.run("-m", "script"),
    }  # fmt: skip
    moved = Project(tmp_path / "elsewhere" / "deep")
    shutil.copytree(project.directory, moved.directory, dirs_exist_ok=True)
    seen["moved"] = moved.run("script.py")
    # In another directory of the project HERE is another path.
    at_top = {"renamed module"}
    assert {name: id for name, id in seen.items() if name not in at_top} == dict.fromkeys(
        seen.keys() - at_top, expected
    )


PORTABLE = EVERYTHING.replace('pathlib.Path(__file__).parent if "__file__" in globals() else ', "")


def test_one_fingerprint_in_notebook_cells_and_python_c(project: Project) -> None:
    project.write({"script.py": PORTABLE + PRINT.format(name="f"), "pyproject.toml": ""})
    expected = project.run("script.py")
    assert project.run("-c", PORTABLE + PRINT.format(name="f")) == expected
    cells = [cell for cell in re.split(r"\n\n\n", PORTABLE) if cell.strip()]
    project.write({
        "shell.py": f"""
            from IPython.core.interactiveshell import InteractiveShell
            shell = InteractiveShell.instance()
            for cell in {[*cells, PRINT.format(name="f")]!r}:
                shell.run_cell(cell, store_history=True).raise_error()
        """
    })  # fmt: skip
    assert project.run("shell.py") == expected


def test_one_fingerprint_in_a_real_notebook(project: Project) -> None:
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    project.write({"script.py": PORTABLE + PRINT.format(name="f"), "pyproject.toml": ""})
    cells = [*re.split(r"\n\n\n", PORTABLE), PRINT.format(name="f")]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    (project.directory / "book.ipynb").write_text(nbformat.writes(notebook))
    project.write({
        "execute.py": """
            import nbformat
            from nbclient import NotebookClient
            book = NotebookClient(nbformat.read("book.ipynb", 4), kernel_name="python3").execute()
            print(book.cells[-1].outputs[0].text)
        """
    })  # fmt: skip
    assert project.run("-W", "ignore", "execute.py", IPYTHONDIR=str(project.directory)) == project.run("script.py")


def test_without_source_the_bytecode_counts_and_is_the_same_in_all_processes(project: Project) -> None:
    project.write({
        "made.py": """
            import dataclasses
            text = '''
            K = {"p", "q"}
            @dataclasses.dataclass
            class D:
                "Docstring."
                a: int = 1
                def m(self): return self.a
            def g(x):
                "Docstring."
                return x in {"one", "two", "three", "four"} or K or D().m()
            f = lambda x: g(x)
            '''
            space = {"dataclasses": dataclasses}
            exec(text.replace("            ", ""), space)
            from daskflow.graph.fingerprint import fingerprint
            print(fingerprint(space["f"]).id)
        """
    })  # fmt: skip
    first = project.run("made.py", PYTHONHASHSEED="1")
    assert first == project.run("made.py", PYTHONHASHSEED="7")
    text = (project.directory / "made.py").read_text()
    project.write({"made.py": text.replace('"Docstring."', '"Other."')})
    assert first == project.run("made.py")
    for old, new in (('"four"', '"five"'), ("return self.a", "return -self.a"), ("a: int = 1", "a: int = 2")):
        project.write({"made.py": text.replace(old, new)})
        assert first != project.run("made.py"), old


def test_the_loaded_code_counts_and_not_the_file(project: Project) -> None:
    text = "K = 1\nclass C:\n    n = 1\n    def m(self):\n        return self.n + 1\ndef g(x):\n    return x + K\ndef f(x):\n    return g(x), C().m()\n"
    before = project.write({"flows.py": text}).fingerprint().id
    loaded = project.load()
    for new in (text.replace("x + K", "x - K"), text.replace("n = 1", "n = 7"), text.replace("+ 1", "+ 9"), "broken("):
        project.write({"flows.py": new})
        late = fingerprint(loaded.f).id
        project.write({"flows.py": new if new != "broken(" else text.replace("x + K", "x * K")})
        assert late != project.fingerprint().id
    # Changes elsewhere in the file leave the tree where it is found.
    project.write({"flows.py": "import os\n\n\n" + text.replace("K = 1", "K = 5")})
    assert fingerprint(loaded.f).id == before


def test_a_whole_module_counts_as_it_is_loaded(project: Project) -> None:
    files = {
        "helpers.py": "K = 1\nimport threading\nlock = open(__file__)\nlock.close()\n",
        "flows.py": "import helpers\ndef f():\n    return vars(helpers)\n",
    }
    project.write(files)
    loaded = project.load()
    before = fingerprint(loaded.f)
    project.write({"helpers.py": files["helpers.py"].replace("K = 1", "K = 2")})
    assert fingerprint(loaded.f).id == before.id
    loaded.helpers.K = 2
    assert not before.current()
    assert fingerprint(loaded.f).id == project.fingerprint().id


def test_a_global_without_a_key_is_named_with_function_and_cure(project: Project) -> None:
    project.write({"flows.py": "handle = object()\ndef g():\n    return handle\ndef f():\n    return g()\n"})
    with pytest.raises(NoKey, match=r"'handle' is used by f -> g, but: .*builtins\.object.*Pass plain data") as caught:
        project.fingerprint()
    assert str(caught.value).count("is used by") == 1


def test_a_method_that_uses_a_global_without_a_key_is_no_less_an_error(project: Project) -> None:
    text = "h = object()\nclass C:\n    h = h\n    def m(self):\n        return h\ndef f():\n    return C().m()\n"
    project.write({"flows.py": text})
    with pytest.raises(NoKey, match=r"'h' is used by f -> C -> C\.m, but"):
        project.fingerprint()
    # A class attribute that nobody has to look at is no error, and no random key.
    project.write({"flows.py": text.replace("return h", "return 1")})
    assert project.fingerprint().id == project.fingerprint().id


@pytest.mark.parametrize(
    "tool",
    ["logging.getLogger('x')", "threading.Lock()", "threading.RLock()", "threading.Event()", "threading.local()", "contextvars.ContextVar('x')", "logging.LoggerAdapter(logging.getLogger('x'), {})"],
)  # fmt: skip
def test_tools_do_not_count(project: Project, tool: str) -> None:
    project.write({"flows.py": f"import contextvars, logging, threading\nthing = {tool}\ndef f():\n    return thing\n"})
    assert project.fingerprint().id == project.fingerprint().id


def test_a_container_that_holds_itself_has_no_key(project: Project) -> None:
    project.write({"flows.py": "K = []\nK.append(K)\ndef f():\n    return K\n"})
    with pytest.raises(NoKey, match="contains itself"):
        project.fingerprint()


def test_parts_name_what_counts(project: Project) -> None:
    files = {
        **HELPERS,
        "flows.py": "import helpers\nimport numpy as np\nN = 5\nclass C:\n    n = 1\n    def m(self):\n        return N\ndef f(x):\n    return np.sin(helpers.clean(x)), C().m()\n",
    }
    parts = project.write(files).fingerprint().parts
    assert parts["f: N" if "f: N" in parts else "C.m: N"] == "5"
    assert parts["deep: LIMIT"] == "3"
    assert parts["C: n"] == "1"
    assert parts["numpy"][0].isdigit()
    assert {"flows.f", "flows.C", "flows.C.m", "helpers.clean", "helpers.deep"} <= parts.keys()
    changed = project.write({"helpers.py": HELPERS["helpers.py"].replace("x + LIMIT", "x - LIMIT")}).fingerprint().parts
    assert [name for name in parts if parts[name] != changed[name]] == ["helpers.deep"]
    json.dumps(parts)


def test_two_lambdas_of_one_name_stand_side_by_side(project: Project) -> None:
    project.write({"flows.py": "fs = [lambda x: x + 1, lambda x: x * 2, lambda x: x * 2]\ndef f(x):\n    return fs\n"})
    parts = project.fingerprint().parts
    assert {"flows.<lambda>", "flows.<lambda> #2"} <= parts.keys()
    assert "flows.<lambda> #3" not in parts


def test_a_version_stands_for_the_code_but_not_for_the_function() -> None:
    def a(x: int) -> int:
        return x

    def b(x: int) -> int:
        return -x

    assert fingerprint(a, "1").id != fingerprint(a, "2").id
    # Early cutoff compares fingerprint and inputs only.
    assert fingerprint(a, "1").id != fingerprint(b, "1").id
    assert fingerprint(a, "1").parts == {"version": "1"}
    assert fingerprint(a, "1").current()


def test_a_helper_that_is_defined_anew_gives_a_new_key() -> None:
    space: dict[str, Any] = {}
    exec("def g(x):\n    return x\ndef f(x):\n    return g(x)\n", space)
    made = task(space["f"])
    first = made(1).key
    assert made(1).key == first
    exec("def g(x):\n    return -x\n", space)
    second = made(1).key
    assert second != first
    exec("def g(x):\n    return x\n", space)
    assert made(1).key == first


def test_a_helper_that_is_defined_only_now_is_noticed() -> None:
    space: dict[str, Any] = {}
    exec("def f(x):\n    return len(g(x))\n", space)
    made = task(space["f"])
    keys = [made(1).key]
    exec("def g(x):\n    return x\n", space)
    keys.append(made(1).key)
    exec("def g(x):\n    return -x\n", space)
    keys.append(made(1).key)
    exec("def len(x):\n    return 7\n", space)
    keys.append(made(1).key)
    del space["len"]
    assert len(set(keys)) == 4
    assert made(1).key == keys[2]


def test_an_attribute_of_a_helper_module_that_is_set_is_noticed(project: Project) -> None:
    project.write({**HELPERS, "flows.py": "import helpers\ndef f(x):\n    return helpers.clean(x)\n"})
    loaded = project.load()
    before = fingerprint(loaded.f)
    assert before.current()
    loaded.helpers.LIMIT = 9
    assert not before.current()
    loaded.helpers.LIMIT = 3
    assert before.current()


def test_code_that_is_exchanged_in_place_is_noticed(project: Project) -> None:
    # IPython's autoreload does this.
    loaded = project.write({"flows.py": "def g(x=1):\n    return x\ndef f(x):\n    return g()\n"}).load()
    before = fingerprint(loaded.f)

    def other(x: int = 2) -> int:
        return x

    loaded.g.__code__ = other.__code__
    assert not before.current()


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("K = {'a': [1]}\ndef f():\n    return K\n", lambda loaded: loaded.K["a"].append(2)),
        ("K = [1]\ndef f():\n    return K\n", lambda loaded: loaded.K.append(2)),
        ("import numpy as np\nK = np.zeros(3)\ndef f():\n    return K\n", lambda loaded: loaded.K.fill(1)),
        ("class C:\n    n = 1\nK = C()\ndef f():\n    return K\n", lambda loaded: setattr(loaded.K, "n", 2)),
        ("class C:\n    n = 1\ndef f():\n    return C.n\n", lambda loaded: setattr(loaded.C, "n", 2)),
        ("class C:\n    pass\ndef f():\n    return C.n\n", lambda loaded: setattr(loaded.C, "n", 2)),
        ("class B:\n    n = [1]\nclass C(B):\n    pass\ndef f():\n    return C.n\n", lambda loaded: loaded.B.n.append(2)),
    ],
)  # fmt: skip
def test_a_value_that_is_changed_in_place_is_noticed(
    project: Project, text: str, change: Callable[[Any], None]
) -> None:
    loaded = project.write({"flows.py": text}).load()
    made = task(loaded.f)
    before = made().key
    assert made().key == before
    change(loaded)
    assert made().key != before


def test_a_variable_of_a_closure_that_is_set_anew_is_noticed() -> None:
    scale = 1

    def f(x: int) -> int:
        return x * scale

    made = task(f)
    first = made(1).key
    scale = 2
    second = made(1).key
    assert first != second
    scale = 1
    assert made(1).key == first


def test_a_class_met_again_and_again_is_looked_at_once() -> None:
    class Local:
        pass

    assert fingerprint_of(functools.partial).id == fingerprint_of(functools.partial).id
    assert fingerprint_of(Project) is fingerprint_of(Project)
    assert fingerprint_of(Local).id == fingerprint_of(Local).id


def test_a_function_that_uses_itself() -> None:
    def factorial(n: int) -> int:
        return n * factorial(n - 1) if n else 1

    assert fingerprint(factorial).id == fingerprint(factorial).id


def test_versions_of_libraries_and_of_python_count() -> None:
    def f(x: str) -> Any:
        import numpy  # noqa: PLC0415

        return json.dumps(numpy.sin(x))

    parts = fingerprint(f).parts
    assert parts["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert parts["numpy"] == importlib.import_module("numpy").__version__


def test_what_libraries_make_of_the_users_code_counts_by_both() -> None:
    curve = scipy.interpolate.interp1d([1, 2], [3, 4])
    other = scipy.interpolate.interp1d([1, 2], [3, 5])

    def make(g: Any) -> Callable[[float], Any]:
        def f(x: float) -> Any:
            return g(x)

        return f

    assert fingerprint(make(curve)).id != fingerprint(make(other)).id
    assert "scipy" in fingerprint(make(curve)).parts
    assert fingerprint(make(np.sum)).id != fingerprint(make(np.mean)).id
    assert fingerprint(make(np.sin)).id != fingerprint(make(np.cos)).id
    assert "numpy" in fingerprint(make(np.sin)).parts


def test_what_daskflow_gives_to_tasks_does_not_count() -> None:
    def f() -> Any:
        return daskflow.report, daskflow.current()

    made = fingerprint(f)
    assert not any(name.startswith("daskflow") for name in made.parts)
    assert made.current()


def test_a_lock_in_an_object_is_no_tool() -> None:
    class Holder:
        def __init__(self) -> None:
            self.lock = threading.Lock()

    holder = Holder()

    def f() -> Any:
        return holder

    with pytest.raises(NoKey, match="'holder' is used by"):
        fingerprint(f)
