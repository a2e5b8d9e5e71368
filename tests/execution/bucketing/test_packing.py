from __future__ import annotations

import base64
import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.trees import Entry, Tree
from daskflow.artifacts.values import Values
from daskflow.errors import ArtifactMissing, SignatureWrong, WorkInvalid
from daskflow.execution.bucketing.packing import Packing
from daskflow.execution.bucketing.parcel import ROOM, Parcel, open_parcel
from daskflow.execution.credentials import Credentials, forwarding
from daskflow.execution.worker.package import Package, pack
from daskflow.model.outcome import Stored
from daskflow.model.work import Work
from daskflow.stores.buckets.freight import Freight
from tests.execution.bucketing.camp import KEY, Camp, add
from tests.sites.deeds import Deeds


def opened(parameters: dict[str, str]) -> Parcel:
    return open_parcel(base64.b64decode(parameters["parcel"]))[0]


def with_sources(camp: Camp, *sources: Stored) -> Any:
    """A node that takes stored values."""
    node = camp.node("sum", add, 1, 2)
    package: Package = pickle.loads(node.package)
    assignment = package.assignments[0]._replace(sources=sources)
    return node._replace(package=pack(package._replace(assignments=(assignment,)), plain=False))


def keep(value: Any) -> Any:
    return value


def test_a_parcel_names_the_job_and_the_store(camp: Camp) -> None:
    parcel = opened(Packing(camp.values).parameters(camp.node("sum", add, 1, 2), {}))
    assert (parcel.run, parcel.job, parcel.node) == ("a-run", "sum", "sum-1")
    assert (parcel.url, parcel.owners) == (camp.store.url, ("a-project",))
    assert (parcel.objects, parcel.absent) == ({}, ())


def test_stored_values_go_along_as_far_as_there_is_room(camp: Camp) -> None:
    small, large = camp.store.put(b"s" * 1000), camp.store.put(b"l" * ROOM)
    member = camp.store.put(b"in a tree")
    tree = Tree({"a": Entry("f", member, 9)})
    sources = [
        Stored(small, 1000, "npy"),
        Stored(large, ROOM, "npy"),
        Stored("0" * 32, 4, "npy", b"here", (tree.put(camp.store),)),
    ]
    parcel = opened(Packing(camp.values).parameters(with_sources(camp, *sources), {}))
    assert parcel.objects == {
        small: b"s" * 1000,
        camp.store.put(tree.dump()): tree.dump(),
        member: b"in a tree",
    }
    assert parcel.absent == (large,)


def test_what_finds_no_room_is_brought_to_the_server(camp: Camp, freight: Freight, inside: ObjectStore) -> None:
    small, large = camp.store.put(b"s" * 1000), camp.store.put(b"l" * ROOM)
    member = camp.store.put(b"m" * ROOM)
    tree = Tree({"a": Entry("f", member, ROOM)}).put(camp.store)
    sources = [Stored(small, 1000, "npy"), Stored(large, ROOM, "npy"), Stored("0" * 32, 4, "npy", b"here", (tree,))]
    parcel = opened(Packing(camp.values, freight).parameters(with_sources(camp, *sources), {}))
    assert (set(parcel.objects), parcel.absent) == ({small, tree}, (large,))
    assert {digest for digest, _, _ in inside.objects()} == {large, member}


def test_what_a_job_takes_and_is_gone_is_an_error(camp: Camp) -> None:
    with pytest.raises(ArtifactMissing):
        Packing(camp.values).parameters(with_sources(camp, Stored("0" * 32, 4, "npy")), {})


def test_neither_key_nor_secrets_are_in_a_parcel(camp: Camp) -> None:
    secret = Credentials("archive", "ada", SecretStr("open sesame"))
    with forwarding():
        node = camp.node("fetch", keep, secret)
        package: Package = pickle.loads(node.package)
        hidden = pickle.dumps((keep, secret))
        node = node._replace(package=pack(package._replace(tasks=(hidden,)), plain=False))
    assert b"open sesame" in node.package
    data = base64.b64decode(Packing(camp.values).parameters(node, {})["parcel"])
    assert b"archive" in data
    assert b"open sesame" not in data
    assert KEY not in data


def test_what_is_too_large_lies_in_the_store(camp: Camp) -> None:
    node = camp.node("large", keep, "x" * ROOM)
    parameters = Packing(camp.values).parameters(node, {})
    assert parameters == {"stored": parameters["stored"], "store": camp.store.url}
    parcel, signer = open_parcel(bytes(camp.store.get(parameters["stored"])))
    assert (parcel.job, signer.id) == ("large", camp.values.signer.id)


def test_without_a_store_what_is_too_large_is_refused(tmp_path: Path) -> None:
    node = Deeds(tmp_path).node("large", keep, "x" * ROOM)._replace(name="large", run="a-run")
    with pytest.raises(WorkInvalid, match=r"large takes .* and a work carries .*artifacts"):
        Packing(Values(None, key=KEY)).parameters(node, {})


def test_what_just_fits_makes_a_work(camp: Camp) -> None:
    for size in (ROOM - (1 << 15), ROOM - (1 << 14)):
        parameters = Packing(camp.values).parameters(camp.node("fits", keep, "x" * size), {})
        assert list(parameters) == ["parcel"]
        assert Work(pipeline="p", site="s", user="u", parameters=parameters).parameters == parameters


def test_only_what_a_node_needs_of_dask_collections_goes_along(camp: Camp) -> None:
    node = camp.deeds.after("sum", "b")._replace(name="sum", run="a-run")
    foreign = {"a": 20, "b": (add, "a", 1), "other": (keep, b"not needed")}
    parcel = opened(Packing(camp.values).parameters(node, foreign))
    assert set(pickle.loads(parcel.foreign)) == {"a", "b"}


def test_another_key_does_not_open_it(camp: Camp) -> None:
    parameters = Packing(Values(ObjectStore(camp.directory), key=b"z" * 32)).parameters(camp.node("s", add, 1, 2), {})
    data = bytearray(base64.b64decode(parameters["parcel"]))
    data[:8] = camp.values.signer.id.encode()
    with pytest.raises(SignatureWrong):
        open_parcel(bytes(data))
