"""Tells whether a path lies on a network filesystem, where SQLite's write-ahead log would be unsafe."""

from __future__ import annotations

import os
import re
from pathlib import Path

NETWORKS = frozenset(
    {
        "9p",
        "acfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "cvmfs",
        "fhgfs",
        "fuse.ceph",
        "fuse.cephfs",
        "fuse.glusterfs",
        "fuse.gpfs",
        "fuse.juicefs",
        "fuse.lustre",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "panfs",
        "pvfs2",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "wekafs",
    }
)
"""Types, as /proc/mounts names them, whose files several machines may have open."""

_MOUNTS = Path("/proc/self/mounts")
_MOUNT = re.compile(r"^\S+ (\S+) (\S+) ", re.MULTILINE)


def on_network(path: str | os.PathLike[str], mounts: str | None = None) -> bool:
    """Whether `path` lies on a network filesystem.

    Parameters
    ----------
    path
        Need not exist yet.
    mounts
        Text in the form of /proc/mounts; by default that of this machine. Where there is none, as on
        macOS, a path counts as local.
    """
    if mounts is None:
        mounts = _own_mounts()
    return _type_of(os.path.realpath(path), mounts) in NETWORKS


def _own_mounts() -> str:
    try:
        return _MOUNTS.read_text(errors="surrogateescape")
    except OSError:
        return ""


def _type_of(path: str, mounts: str) -> str:
    """Type of the innermost mount that holds `path`; the last of equal ones lies on top."""
    best, kind = "", ""
    for escaped, named in _MOUNT.findall(mounts):
        point = _unescaped(escaped)
        if len(point) >= len(best) and (path + "/").startswith(point.rstrip("/") + "/"):
            best, kind = point, named
    return kind


def _unescaped(point: str) -> str:
    """A mount point with blanks as blanks: the kernel writes their octal number."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
