from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daskflow.artifacts.forms.signing import Signer
from daskflow.artifacts.store import ObjectStore
from daskflow.execution.bucketing import courier, performing, silence
from daskflow.execution.served import reach
from daskflow.stores.buckets.freight import Freight
from daskflow.stores.buckets.line import Line
from daskflow.stores.buckets.remote import RemoteShelf
from tests.execution.bucketing.camp import KEY, Camp
from tests.services.servers import serving


@pytest.fixture
def camp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Camp]:
    Signer.of(KEY)
    monkeypatch.setattr(courier, "_LATEST", 0.05)
    monkeypatch.setattr(silence, "FIRST_PAUSE", 0.05)
    made = Camp(tmp_path)
    yield made
    made.close()


@pytest.fixture
def inside(tmp_path: Path) -> ObjectStore:
    """The artifact store of the server."""
    return ObjectStore(tmp_path / "server" / "artifacts")


@pytest.fixture
def freight(tmp_path: Path, inside: ObjectStore) -> Iterator[Freight]:
    """The way to the artifact store of a server, which is another one than that of the driver."""
    (tmp_path / "server").mkdir()
    with serving(tmp_path / "server", artifacts=inside.url, works={"sites": ["camp"]}) as service:
        line = Line(service.url, None, patience=5.0)
        made = Freight(line)
        yield made
        made.close()
        line.close()


@pytest.fixture
def at_server(freight: Freight, monkeypatch: pytest.MonkeyPatch) -> Iterator[Freight]:
    """What is performed here came from the server, and nothing else is in reach."""
    monkeypatch.setattr(performing, "_there", lambda url: None)
    reach(RemoteShelf(Line(freight.url, None, patience=5.0)))
    yield freight
    reach(None)
