"""No network for runtimes that cannot take it away themselves."""

from __future__ import annotations

from functools import cache

from daskflow.commands.containers.programs import answers, find

# The loopback device is up: parts of one program, as those of MPI, talk by it.
_ENTER = 'PATH=$PATH:/usr/sbin:/sbin ip link set lo up 2>/dev/null; exec "$@"'
_UNSHARE = ("unshare", "--user", "--map-current-user", "--keep-caps", "--net")


def without_network() -> list[str]:
    """What a command begins with that has only the loopback device; empty where the node does not permit it.

    References
    ----------
    https://man7.org/linux/man-pages/man1/unshare.1.html
    """
    if not _permitted():
        return []
    return [find(_UNSHARE[0]), *_UNSHARE[1:], "/bin/sh", "-c", _ENTER, "sh"]


@cache
def _permitted() -> bool:
    return answers([*_UNSHARE, "true"]) is not None
