"""Looks at directories, locks, network and object store from the driver's machine."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from urllib.parse import unquote

from daskflow.artifacts.store import ObjectStore
from daskflow.execution.doctor.findings import Finding, bad, good, odd
from daskflow.stores.filesystem import on_network

_TRY_LOCK = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(7)
"""
"""Tries to take a lock that is held: that it gets it is wrong."""
_REFUSED = 7


def writable(path: Path, option: str) -> Finding:
    """Whether files can be written into a directory, which is made where it is not there."""
    probe = path / f".daskflow-check-{uuid.uuid4().hex}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"daskflow")
        read = probe.read_bytes()
    except OSError as error:
        return bad(
            f"{path} cannot be written: {error.strerror or error}",
            f"Make it writable, free some space, or name another directory by `{option}`.",
        )
    finally:
        _remove(probe)
    if read != b"daskflow":
        return bad(f"{path} gives back other bytes than were written", "Ask who runs this file system.")
    return good(f"{path} is writable")


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # it lies in what is no directory
        return


def locks(journal: str) -> Finding:
    """Whether locks of one process hold off another on the file system of the journal."""
    path = file_of(journal)
    if path is None:
        return good("the journal is a database server, which needs no locks of a file system")
    directory = path.absolute().parent
    probe = directory / f".daskflow-check-{uuid.uuid4().hex}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        held = _lock_holds(probe)
    except OSError as error:
        return bad(
            f"a file in {directory} cannot be locked: {error.strerror or error}",
            "Put `store` on a file system that has locks, such as your home, or use PostgreSQL.",
        )
    finally:
        _remove(probe)
    if not held:
        return bad(
            f"two processes got the same lock in {directory}",
            "Put `store` on a file system whose locks hold (on Lustre the mount option flock), or use PostgreSQL.",
        )
    kind = ", a network file system: the journal does without the write-ahead log" if on_network(directory) else ""
    return good(f"locks hold in {directory}{kind}")


def _lock_holds(path: Path) -> bool:
    with path.open("w+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        other = subprocess.run(
            [sys.executable, "-c", _TRY_LOCK, str(path)], capture_output=True, check=False, timeout=60
        )
    if other.returncode not in (0, _REFUSED):
        raise OSError(other.stderr.decode(errors="replace").strip() or f"exit code {other.returncode}")
    return other.returncode == _REFUSED


def file_of(journal: str) -> Path | None:
    """The file of a journal; None where it is a server."""
    kind, mark, rest = journal.partition("://")
    if not mark:
        return Path(journal).expanduser()
    return Path(rest[1:]).expanduser() if kind == "sqlite" else None


def objects(store: ObjectStore) -> Finding:
    """Whether what is put into the store of artifacts comes back."""
    data = f"daskflow site check {uuid.uuid4().hex}".encode()
    digest = store.put(data)
    try:
        if bytes(store.get(digest)) != data:
            return bad(f"{store.url} gives back other bytes than were put", "Ask who runs it.")
    finally:
        store.remove(digest)
    return good(f"{store.url} takes objects and gives them back")


def objects_directory(store: ObjectStore | None) -> str:
    """The directory of a store whose objects are files; empty where they are not."""
    return unquote(store.url.partition("://")[2]) if store is not None and store.local else ""


def interface(name: str) -> Finding:
    """Whether there is such a network interface, with an address."""
    found = addresses()
    if not name:
        return good(f"nodes are told {own_address('')} as the address of this machine, by its default route")
    if name not in found:
        known = ", ".join(f"{one} ({address})" for one, address in sorted(found.items()))
        return bad(
            f"there is no interface {name!r} with an address here", f"Name one of these by `interface`: {known}."
        )
    if found[name].startswith("127."):
        return odd(
            f"{name} has {found[name]}, by which only this machine reaches itself",
            "Right where all nodes are this machine; else name an interface of the cluster's network.",
        )
    return good(f"{name} has {found[name]}")


def addresses() -> dict[str, str]:
    """The network interfaces of this machine that have an address (IPv4)."""
    import psutil

    return {
        name: one.address
        for name, several in psutil.net_if_addrs().items()
        for one in several
        if one.family == socket.AF_INET
    }


def own_address(name: str) -> str:
    """The address of an interface; by default of the one that packets to the world take."""
    if name:
        return addresses().get(name, "")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            # Nothing is sent: this only asks for the route.
            one.connect(("8.8.8.8", 80))
            return str(one.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def scheduler(address: str) -> Finding:
    """Whether somebody listens at the address of a scheduler."""
    from distributed.comm import get_address_host_port

    host, port = get_address_host_port(address)
    try:
        with socket.create_connection((host, port), timeout=10):
            return good(f"{address} is reached")
    except OSError as error:
        return bad(
            f"{address} is not reached: {error.strerror or error}",
            "Start the scheduler, `dask scheduler`, or set `address` to where it listens.",
        )


def interpreter(path: str) -> Finding:
    """Whether the configured interpreter is there, seen from this machine; nodes may differ."""
    if os.sep in path and not os.access(path, os.X_OK):
        return odd(f"{path} is not here; the probe will tell whether nodes have it", "Look at the option `python`.")
    return good(path)
