from __future__ import annotations

import subprocess
import sys

CODE = """
import threading
from daskflow.sites.importing import import_distributed
errors = []
def go():
    try:
        import_distributed()
    except BaseException as error:
        errors.append(error)
threads = [threading.Thread(target=go) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
import distributed
assert not errors, errors
assert distributed.core.Server
"""


def test_many_threads_may_be_the_first() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
