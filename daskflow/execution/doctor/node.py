"""What a probe looks at on its node. A copy of this file runs there, by an interpreter that may lack daskflow.

Usage: `python node.py DIRECTORY`; the directory holds `task.json`, and gets `report.json`. Nothing but the standard
library is imported, and nothing that Python 3.7 does not have.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from typing import Any, Dict  # noqa: UP035, as in Python 3.7

Task = Dict[str, Any]  # noqa: UP006, the same

# As text: another process imports them, so that one that crashes when it is imported is told of too.
IMPORTS = """
import importlib, importlib.metadata, json, os, pickle, sys
found = {}
for name in sys.argv[1].split(","):
    try:
        importlib.import_module(name)
        try:
            found[name] = [importlib.metadata.version(name), ""]
        except importlib.metadata.PackageNotFoundError:
            found[name] = ["", ""]
    except BaseException as error:
        found[name] = ["", "%s: %s" % (type(error).__name__, error)]
store = ""
if len(sys.argv) > 2 and not any(error for _, error in found.values()):
    try:
        with open(sys.argv[2], "rb") as file:
            objects, digest = pickle.load(file)
        store = "ok %d" % len(objects.get(digest))
    except BaseException as error:
        store = "%s: %s" % (type(error).__name__, error)
print("FOUND" + json.dumps({"packages": found, "objects": store}))
"""
ENOUGH = 1 << 20
"""So much is written into scratch to see whether there is room [bytes]."""


def imports(task: Task) -> Task:
    """Versions of packages, or why they cannot be imported; whether the object store is reached."""
    argv = [sys.executable, "-c", IMPORTS, ",".join(task["packages"])]
    if task["objects"]:
        argv.append(task["objects"])
    done = subprocess.run(argv, capture_output=True, timeout=task["patience"], check=False)
    for line in done.stdout.decode(errors="replace").splitlines():
        if line.startswith("FOUND"):
            found: Task = json.loads(line[len("FOUND") :])
            return found
    said = done.stderr.decode(errors="replace")[-1000:]
    return {"packages": {}, "objects": "", "error": f"exit code {done.returncode}: {said}"}


def scratch(task: Task) -> Task:
    """Where scratch is, what is free there, and why it cannot be written."""
    place = os.path.expanduser(os.path.expandvars(task["scratch"])) or tempfile.gettempdir()
    found: Task = {"place": place, "free": None, "error": ""}
    path = os.path.join(place, f"daskflow-check-{os.getpid()}")
    try:
        os.makedirs(place, exist_ok=True)
        found["free"] = shutil.disk_usage(place).free
        with open(path, "wb") as file:
            file.write(b"\0" * ENOUGH)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        found["error"] = "full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
    finally:
        if os.path.exists(path):
            os.unlink(path)
    return found


def knock(task: Task) -> Task:
    """Whether the driver is reached, and why not."""
    try:
        with socket.create_connection((task["host"], task["port"]), timeout=10) as connection:
            connection.sendall(json.dumps({"token": task["token"], "time": time.time()}).encode() + b"\n")
            answer = connection.recv(16)
    except OSError as error:
        return {"reached": False, "error": error.strerror or str(error)}
    return {"reached": answer == b"hello", "error": "" if answer == b"hello" else "somebody else answers there"}


def directory(path: str) -> str:
    """Why the node cannot write into a directory that it should share; empty where it can."""
    if not path:
        return ""
    probe = os.path.join(path, f".daskflow-check-{os.getpid()}-{platform.node()}")
    try:
        with open(probe, "wb") as file:
            file.write(b"daskflow")
        os.unlink(probe)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def lock(path: str) -> str:
    """`held`: a lock of the driver holds here; `free`: it does not; else why nobody knows."""
    try:
        with open(path, "r+b") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                return "held" if error.errno in (errno.EAGAIN, errno.EACCES) else error.strerror or str(error)
            return "free"
    except OSError as error:
        return error.strerror or str(error)


def certificates(task: Task) -> str:
    """Why the certificates cannot be read; empty where they can."""
    if not task["tls"]:
        return ""
    try:
        context = ssl.create_default_context(cafile=task["tls"][0])
        context.load_cert_chain(task["tls"][0], task["tls"][1])
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def main(place: str) -> None:
    """Look at everything, and write it down."""
    with open(os.path.join(place, "task.json")) as file:
        task = json.load(file)
    interfaces = [name for _, name in socket.if_nameindex()]
    report = {
        "node": platform.node(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "interfaces": interfaces,
        "network": knock(task),
        "lock": lock(task["lock"]),
        "artifacts": directory(task["artifacts"]),
        "scratch": scratch(task),
        "tls": certificates(task),
    }
    try:
        report.update(imports(task))
    except subprocess.TimeoutExpired:
        report.update({"packages": {}, "objects": "", "error": f"the imports took more than {task['patience']:g} s"})
    path = os.path.join(place, "report.json")
    with open(path + ".new", "w") as file:
        json.dump(report, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


if __name__ == "__main__":
    main(sys.argv[1])
