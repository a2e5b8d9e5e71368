from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import Entry, Tree
from daskflow.errors import ArtifactMissing, ServerSilent, TokenRefused
from daskflow.execution.bucketing import transit
from daskflow.execution.bucketing.transit import bring, fetch, send
from daskflow.stores.buckets.freight import Freight
from daskflow.stores.buckets.line import Line
from tests.services.servers import ServerProcess

LARGE = os.urandom(300_000)


def tree_in(store: ObjectStore) -> tuple[str, str, str]:
    """A directory of a large and a small file: its digest, and theirs."""
    large, small = store.put(LARGE), store.put(b"small")
    return Tree({"large": Entry("f", large, len(LARGE)), "a/small": Entry("f", small, 5)}).put(store), large, small


def test_what_is_brought_can_be_fetched_elsewhere(freight: Freight, inside: ObjectStore, tmp_path: Path) -> None:
    here, there = ObjectStore(tmp_path / "here"), ObjectStore(tmp_path / "there")
    tree, large, small = tree_in(here)
    bring(freight, here, [tree, large, small])
    assert bytes(inside.get(large)) == LARGE
    fetch(freight, there, [tree])
    assert [bytes(there.get(each)) for each in (large, small)] == [LARGE, b"small"]


def test_of_a_directory_that_is_there_what_is_missing_is_fetched(
    freight: Freight, inside: ObjectStore, tmp_path: Path
) -> None:
    there = ObjectStore(tmp_path / "there")
    tree, large, small = tree_in(inside)
    there.put(bytes(inside.get(tree)))
    there.put(b"small")
    inside.remove(small)
    fetch(freight, there, [tree])
    assert bytes(there.get(large)) == LARGE


def test_without_a_way_nothing_is_brought_and_what_is_here_is_enough(tmp_path: Path) -> None:
    here = ObjectStore(tmp_path / "here")
    tree, large, _ = tree_in(here)
    bring(None, here, [tree])
    fetch(None, here, [tree])
    here.remove(large)
    with pytest.raises(ArtifactMissing, match=r"another one\. Let `artifacts` name the same store"):
        fetch(None, here, [tree])


def test_what_is_neither_here_nor_there(freight: Freight, tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match="is not in the artifact store http"):
        fetch(freight, ObjectStore(tmp_path / "here"), ["0" * 32])


def test_what_finds_no_room_is_sent_by_way_of_the_server(freight: Freight, inside: ObjectStore, tmp_path: Path) -> None:
    here = ObjectStore(tmp_path / "here")
    tree, large, small = tree_in(here)
    among = {tree, large, small}
    assert send(None, here, [tree], 10_000, among).absent == (large,)
    sent = send(freight, here, [tree], 10_000, among)
    assert (set(sent.objects), sent.absent, sent.served) == ({tree, small}, (), (tree,))
    assert sent.size == sum(map(len, sent.objects.values()))
    assert (inside.exists(large), inside.exists(small)) == (True, False)
    assert send(freight, here, [small], 10_000, among).served == ()
    assert send(freight, here, [small], 10_000, {}).served == (small,), "the server has it"


def test_a_server_that_is_away_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = ObjectStore(tmp_path / "here")
    digest = here.put(LARGE)
    with ServerProcess(tmp_path, "--open") as server:
        freight = Freight(Line(server.url, None, patience=0.0))
        server.kill()
        pauses: list[float] = []

        def sleep(pause: float) -> None:
            pauses.append(pause)
            server.start()

        with pytest.raises(ServerSilent):
            bring(freight, here, [digest])
        monkeypatch.setattr(transit, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
        bring(freight, here, [digest], patience=60.0)
        assert pauses == [transit._PAUSE]
        assert freight.size(digest) == len(LARGE)
        freight.close()
        freight._line.close()


def test_a_token_that_may_not_read_is_told_apart(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        line = Line(server.url, SecretStr(server.token("deposit")))
        with pytest.raises(TokenRefused, match=r"too large for a work.*`deposit` and `read`"):
            fetch(Freight(line), ObjectStore(tmp_path / "here"), ["0" * 32])
        line.close()
