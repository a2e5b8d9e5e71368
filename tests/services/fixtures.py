"""Fixtures of services; `tests/conftest.py` names them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from tests.services import s3 as seaweed
from tests.services.counting import Counting


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.S3]:
    """A real S3 server with a bucket, one for all tests; each takes a prefix of its own."""
    if seaweed.weed() is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"SeaweedFS is not installed: {seaweed.INSTALL}")
        pytest.skip(f"needs SeaweedFS: {seaweed.INSTALL}")
    with seaweed.running(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def prefix() -> str:
    """A place in the bucket that no other test knows."""
    return f"tests/{uuid.uuid4().hex}"


@pytest.fixture
def counting(s3: seaweed.S3) -> Iterator[Counting]:
    """A proxy before the server: it counts, and does what servers do on bad days."""
    with Counting(s3.endpoint) as proxy:
        yield proxy
