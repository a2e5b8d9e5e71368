"""Another network on this machine, for agents that are to reach nothing but a server."""

from __future__ import annotations

import ipaddress
import os
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest

OTHER_NETWORK = pytest.mark.skipif(
    not os.environ.get("CI") and (os.geteuid() != 0 or shutil.which("ip") is None),
    reason="needs root and iproute2: apt-get install iproute2",
)


class Island:
    """A network namespace, from which nothing but what listens at its other end is in sight."""

    def __init__(self) -> None:
        mark = secrets.token_hex(3)
        self.name, self._ends = f"daskflow-{mark}", (f"dfa{mark}", f"dfb{mark}")
        # One of 32768 pairs that are kept free for tests of networks: another process may make an island too.
        first = ipaddress.IPv4Address("198.18.0.0") + 4 * secrets.randbelow(1 << 15)
        self.here, self.there = str(first + 1), str(first + 2)

    def __enter__(self) -> Island:
        near, far = self._ends
        _ip("netns", "add", self.name)
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.name)
        _ip("addr", "add", f"{self.here}/30", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", self.name, "addr", "add", f"{self.there}/30", "dev", far)
        _ip("-n", self.name, "link", "set", far, "up")
        _ip("-n", self.name, "link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        _ip("netns", "del", self.name)

    def command(self, command: list[str], directory: Path, *hidden: Path) -> list[str]:
        """A command that runs there, in a directory, and sees nothing of what is in others."""
        hide = " && ".join(f'mount -t tmpfs none "{path}"' for path in hidden)
        script = f'{hide} && cd "$0" && exec "$@"'
        return ["ip", "netns", "exec", self.name, "unshare", "-m", "sh", "-c", script, str(directory), *command]


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
