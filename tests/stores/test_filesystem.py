from __future__ import annotations

from pathlib import Path

import pytest

from daskflow.stores.filesystem import on_network

MOUNTS = r"""/dev/sda1 / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/scratch xfs rw 0 0
mds@tcp:/work /mnt/my\040work lustre rw 0 0
garbage
/dev/sdc1 /over ext4 rw 0 0
host:/x /over fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "network"),
    [
        ("/tmp/journal.db", False),
        ("/home/ann/.daskflow/journal.db", True),
        ("/homeless/journal.db", False),
        ("/home/scratch/journal.db", False),
        ("/mnt/my work/journal.db", True),
        ("/over/journal.db", True),
    ],
)
def test_the_innermost_and_topmost_mount_decides(path: str, network: bool) -> None:
    assert on_network(path, MOUNTS) is network


def test_a_link_counts_as_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/home/ann")
    assert on_network(tmp_path / "link" / "journal.db", MOUNTS)


def test_without_mounts_a_path_is_local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("daskflow.stores.filesystem._MOUNTS", tmp_path / "none")
    assert not on_network(tmp_path)


def test_this_machine_answers(tmp_path: Path) -> None:
    assert on_network(tmp_path) in (True, False)
