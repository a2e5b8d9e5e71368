from __future__ import annotations

import pickle
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.forms.signing import Signer
from daskflow.artifacts.store import ObjectStore
from daskflow.errors import ArtifactMissing
from daskflow.execution.supply.shipping import Shipment

SIGNER = Signer.of(bytes(range(32)))


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(f"memory://{uuid.uuid4()}", cache=NodeCache(tmp_path / "cache"))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A package as it was built."""
    (tmp_path / "made" / "src").mkdir(parents=True)
    (tmp_path / "made" / "setup.cfg").touch()
    (tmp_path / "made" / "src" / "fits.py").write_text("x = 3")
    return tmp_path / "made"


def test_what_was_sent_is_unpacked_once_per_node(store: ObjectStore, made: Path) -> None:
    shipment = Shipment(store, SIGNER, "fits-1.0-abc", "cedar")
    assert (shipment.ready, shipment.digest) == (False, "")
    built = shipment.send(made)
    other = pickle.loads(pickle.dumps(shipment))
    assert (other, other.built, other.ready) == (shipment, built, True)
    with ThreadPoolExecutor(4) as pool:
        [folder] = set(pool.map(lambda _: other.unpack(), range(8)))
    assert (Path(folder) / "src" / "fits.py").read_text() == "x = 3"
    assert (Path(folder) / "setup.cfg").exists()
    assert {path.name.partition(".lock")[0] for path in Path(folder).parent.iterdir()} == {Path(folder).name}


def test_each_site_and_state_has_its_own(store: ObjectStore, made: Path) -> None:
    Shipment(store, SIGNER, "fits-1.0-abc", "cedar").send(made)
    assert not Shipment(store, SIGNER, "fits-1.0-abc", "niagara").ready
    assert not Shipment(store, SIGNER, "fits-1.0-abd", "cedar").ready
    assert Shipment(store, SIGNER, "a", "s") != Shipment(store, SIGNER, "b", "s")


def test_what_a_stranger_put_there_counts_as_nothing(store: ObjectStore, made: Path) -> None:
    shipment = Shipment(store, SIGNER, "fits-1.0-abc", "cedar")
    Shipment(store, Signer.of(bytes(32)), "fits-1.0-abc", "cedar").send(made)
    assert not shipment.ready
    with pytest.raises(ArtifactMissing, match=r"fits-1\.0-abc is not in memory://"):
        shipment.unpack()


def test_a_note_of_one_package_does_not_pass_for_another(store: ObjectStore, made: Path) -> None:
    Shipment(store, SIGNER, "old", "cedar").send(made)
    [(old, _)] = store.notes("packages")
    data = store.read_note(old)
    Shipment(store, SIGNER, "new", "cedar").send(made)
    [new] = [path for path, _ in store.notes("packages") if path != old]
    assert data is not None
    store.write_note(new, data)
    assert Shipment(store, SIGNER, "old", "cedar").ready
    assert not Shipment(store, SIGNER, "new", "cedar").ready


def test_an_object_that_is_gone(store: ObjectStore, made: Path) -> None:
    store.remove(Shipment(store, SIGNER, "fits", "cedar").send(made).digest)
    assert not Shipment(store, SIGNER, "fits", "cedar").ready
