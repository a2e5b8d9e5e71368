from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from daskflow.commands.containers.call import Bind
from daskflow.commands.containers.charliecloud import Charliecloud
from daskflow.commands.containers.images import Image
from daskflow.commands.containers.runtimes import Runtime
from daskflow.commands.containers.shelf import Shelf
from daskflow.commands.scratch import Scratch
from daskflow.errors import ContainerError
from tests.commands.containers.conftest import Calling, Stub
from tests.services.images import make_rootfs, save
from tests.services.programs import needs

Said = Callable[..., str]


@needs("ch-run")
def test_it_behaves(behaves: Callable[[Runtime], None]) -> None:
    assert Charliecloud().absence() == ""
    behaves(Charliecloud())


@needs("ch-run")
def test_the_user_has_a_name(rootfs: Path, said: Said) -> None:
    assert f":{os.getuid()}:" in said(Charliecloud(), rootfs, "cat /etc/passwd")


@needs("ch-run")
def test_a_tarball_is_unpacked_once(rootfs: Path, shelf: Shelf, said: Said, tmp_path: Path) -> None:
    image = Image.named(save(rootfs, tmp_path / "image.tar.gz"))
    place = Charliecloud().prepare(image, shelf)
    assert Charliecloud().prepare(image, shelf) == place
    assert said(Charliecloud(), place, "cat /etc/image") == "a small image\n"


@needs("ch-run", "mksquashfs")
def test_a_squashfs_becomes_a_directory(rootfs: Path, shelf: Shelf, said: Said, tmp_path: Path) -> None:
    subprocess.run(["mksquashfs", rootfs, tmp_path / "image.sqfs", "-quiet"], check=True, capture_output=True)
    place = Charliecloud().prepare(Image.named(tmp_path / "image.sqfs"), shelf)
    assert said(Charliecloud(), place, "cat /etc/image") == "a small image\n"


@needs("ch-run")
@pytest.mark.parametrize("target", ["/home/user/data", "/data", "/var/new/data", "/etc/image"])
def test_what_the_image_has_no_place_for_gets_one(target: str, said: Said, tmp_path: Path) -> None:
    rootfs = make_rootfs(tmp_path / "rootfs")
    source = tmp_path / "source"
    if target == "/etc/image":
        source.write_text("bound\n")
    else:
        source.mkdir()
        (source / "file").write_text("bound\n")
    read = f"cat {target}" if source.is_file() else f"cat {target}/file"
    assert said(Charliecloud(), rootfs, read, binds=[Bind(str(source), target)]) == "bound\n"


def test_no_place_is_made_for_a_file(calling: Calling, tmp_path: Path, stub: Callable[..., Stub]) -> None:
    stub("ch-run")
    image = make_rootfs(tmp_path / "rootfs", [])
    (tmp_path / "source").write_text("bound\n")
    with pytest.raises(ContainerError, match=r"cannot show the file /etc/none .* a directory of its own"):
        Charliecloud().launch(str(image), calling("true", binds=[Bind(str(tmp_path / "source"), "/etc/none")]))
    assert not (image / "etc/none").exists()


def test_a_place_behind_a_link_is_refused(
    calling: Calling, rootfs: Path, tmp_path: Path, stub: Callable[..., Stub]
) -> None:
    stub("ch-run")
    image = make_rootfs(tmp_path / "rootfs", [])
    (image / "data").symlink_to("/etc")
    with pytest.raises(ContainerError, match="/data is a link there"):
        Charliecloud().launch(str(image), calling("true", binds=[Bind("/usr", "/data/usr")]))


@needs("ch-run", "unshare", "ip")
def test_the_network_is_there_only_when_asked_for(rootfs: Path, said: Said) -> None:
    devices = said(Charliecloud(), rootfs, "ls /sys/class/net; cat /proc/net/dev")
    assert [line.split(":")[0].strip() for line in devices.splitlines() if ":" in line] == ["lo"]
    # Not its devices: other tests make some, and take them away.
    host = f"{os.readlink('/proc/self/ns/net')}\n"
    assert said(Charliecloud(), rootfs, "ls -l /proc/self/ns/net", network=True).endswith(f"-> {host}")


@needs("ch-run")
def test_a_signal_reaches_the_command(rootfs: Path, calling: Calling, scratch: Scratch) -> None:
    argv, env = Charliecloud().launch(
        str(rootfs), calling("sh", "-c", "trap 'echo bye; exit 7' TERM; echo up; while :; do :; done")
    )
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.terminate()
        assert process.stdout.read() == "bye\n"
    assert process.returncode == 7


def test_registries_are_asked_once(shelf: Shelf, stub: Callable[..., Stub], tmp_path: Path) -> None:
    image, convert = stub("ch-image", (["pull"], "", 0), (["delete"], "", 0)), stub("ch-convert")
    (tmp_path / "programs/ch-convert").write_text(
        (tmp_path / "programs/ch-convert").read_text() + "\nos.mkdir(arguments[-1])\n"
    )
    for _ in range(2):
        place = Charliecloud().prepare(Image.named("docker://code:1"), shelf)
    assert Path(place).is_dir()
    assert [next(word for word in call if word in ("pull", "delete")) for call in image.calls] == ["pull", "delete"]
    ((*_, source, _),) = convert.calls
    assert source == "code:1"


def test_options_go_to_the_program(rootfs: Path, calling: Calling, stub: Callable[..., Stub]) -> None:
    stub("ch-run")
    argv, _ = Charliecloud(["--home"]).launch(str(rootfs), calling("code", "--home"))
    assert argv[-5:] == ["--home", str(rootfs), "--", "code", "--home"]


def test_where_it_is_not_that_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "ch-run" in Charliecloud().absence()
