"""Object stores in processes that were forked.

obstore works in threads of its own, started when it is first used. A fork has none of them: whatever it asks of obstore
is never answered. Attempts that run in a child process are forks, and their tasks read artifacts. So in a fork of a
process that had obstore, the library is loaded once more and begins anew: some 30 ms, when it is imported there first.

Whoever keeps a client of obstore has to open another one in a fork: `generation` tells.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Sequence
from importlib.machinery import ExtensionFileLoader, ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from types import ModuleType

_LIBRARY = "obstore._obstore"


_generation = 0
_loading = threading.Lock()


def generation() -> int:
    """How many forks this process is away from the one that began. A client of an earlier one must not be used."""
    return _generation


def load() -> None:
    """Import obstore as a whole. Threads that import parts of it at once may meet a half of it."""
    with _loading:
        from obstore import exceptions, store  # noqa: F401 - so that they are there


def _begin_anew() -> None:
    global _generation, _loading
    _generation += 1
    # Another thread of the parent may have held it.
    _loading = threading.Lock()
    if _LIBRARY not in sys.modules:
        return
    for name in [name for name in sys.modules if name.partition(".")[0] == "obstore"]:
        del sys.modules[name]
    sys.meta_path[:] = [_Copies(), *(finder for finder in sys.meta_path if not isinstance(finder, _Copies))]


class _Copies:
    """Finds a copy of the library of obstore; the file itself would be given as it is loaded, with its dead threads."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        found = PathFinder.find_spec(name, path) if name == _LIBRARY else None
        if found is None or found.origin is None:
            return None
        copy = _copied(found.origin)
        return spec_from_file_location(name, copy, loader=ExtensionFileLoader(name, copy))


def _copied(library: str) -> str:
    """A copy of a file, under a path that is good in this process."""
    if hasattr(os, "memfd_create"):
        # Kept open: other code may ask the module for its file. Temporary directories may forbid to run what is there.
        copy = os.memfd_create("obstore")
        with open(library, "rb") as source, open(copy, "wb", closefd=False) as target:
            shutil.copyfileobj(source, target, 1 << 20)
        return f"/proc/self/fd/{copy}"
    with tempfile.NamedTemporaryFile(prefix="obstore-", suffix=".so", delete=False) as file:
        shutil.copyfile(library, file.name)
    return file.name


# Here, not where a store is opened: whoever uses obstore by itself is served too.
os.register_at_fork(after_in_child=_begin_anew)
