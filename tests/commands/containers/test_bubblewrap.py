from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from daskflow.commands.containers.bubblewrap import Bubblewrap
from daskflow.commands.containers.call import Bind
from daskflow.commands.containers.images import Image
from daskflow.commands.containers.runtimes import Runtime
from daskflow.commands.containers.shelf import Shelf
from tests.commands.containers.conftest import Calling, Stub
from tests.services.images import docker_archive, make_rootfs
from tests.services.programs import needs

Said = Callable[..., str]


@needs("bwrap")
def test_it_behaves(behaves: Callable[[Runtime], None]) -> None:
    assert Bubblewrap().absence() == ""
    behaves(Bubblewrap())


@needs("bwrap")
def test_only_what_is_not_writable_is_read_only(said: Said, tmp_path: Path) -> None:
    rootfs = make_rootfs(tmp_path / "rootfs")
    for name in ("open", "closed"):
        (tmp_path / name).mkdir()
    binds = [Bind(str(tmp_path / "open"), "/usr/open", writable=True), Bind(str(tmp_path / "closed"), "/data/closed")]
    said(Bubblewrap(), rootfs, "touch /usr/open/x /data/closed/x || :; id; cat /usr/../etc/image", binds=binds)
    assert (tmp_path / "open/x").exists()
    assert not (tmp_path / "closed/x").exists()
    assert not (rootfs / "data").exists()


@needs("bwrap")
def test_the_network_is_there_only_when_asked_for(rootfs: Path, said: Said) -> None:
    inside = said(Bubblewrap(), rootfs, "cat /proc/net/dev")
    assert [line.split(":")[0].strip() for line in inside.splitlines() if ":" in line] == ["lo"]
    # Not its devices: other tests make some, and take them away.
    host = f"{os.readlink('/proc/self/ns/net')}\n"
    assert said(Bubblewrap(), rootfs, "ls -l /proc/self/ns/net", network=True).endswith(f"-> {host}")
    assert not said(Bubblewrap(), rootfs, "ls -l /proc/self/ns/net").endswith(f"-> {host}")


@needs("bwrap")
def test_the_user_has_a_name(said: Said, tmp_path: Path) -> None:
    rootfs = make_rootfs(tmp_path / "rootfs")
    (rootfs / "etc/passwd").write_text("somebody:x:77777:77777::/:/bin/sh")
    users = said(Bubblewrap(), rootfs, "cat /etc/passwd").splitlines()
    assert users[0].startswith("somebody:")
    assert users[1].split(":")[2] == str(os.getuid())


@needs("bwrap")
def test_all_processes_die_with_the_command(rootfs: Path, calling: Calling) -> None:
    line = "sh -c 'echo up; while :; do sleep 1; done' & while :; do sleep 1; done"
    argv, env = Bubblewrap().launch(str(rootfs), calling("sh", "-c", line))
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.kill()
        # The end of the pipe: nobody has it open any more.
        assert process.stdout.read() == ""


def test_the_image_says_what_the_environment_is(
    calling: Calling, shelf: Shelf, tmp_path: Path, stub: Callable[..., Stub]
) -> None:
    stub("bwrap")
    saved = docker_archive(tmp_path / "image.tar", [{"etc": None}], env=["PATH=/opt/bin", "MODE=fast"])
    place = Bubblewrap().prepare(Image.named(saved), shelf)
    _, env = Bubblewrap().launch(place, calling("true", env={"MODE": "exact", "A": "1"}))
    assert {name: env[name] for name in ("PATH", "MODE", "A")} == {"PATH": "/opt/bin", "MODE": "exact", "A": "1"}
    assert "VIRTUAL_ENV" not in env


@pytest.mark.parametrize("program", ["", "#!/bin/sh\nexit 1\n"])
def test_where_it_does_not_work_that_is_told(program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if program:
        (tmp_path / "bwrap").write_text(program)
        (tmp_path / "bwrap").chmod(0o755)
    assert "bwrap" in Bubblewrap().absence()
