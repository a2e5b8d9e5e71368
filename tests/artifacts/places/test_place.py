"""Every place offers what the object store asks for."""

from __future__ import annotations

import inspect

import pytest

from daskflow.artifacts.places.cloud import Cloud
from daskflow.artifacts.places.directory import Directory
from daskflow.artifacts.places.memory import Memory
from daskflow.artifacts.places.place import Place

METHODS = sorted(name for name in vars(Place) if not name.startswith("_"))


@pytest.mark.parametrize("kind", [Directory, Cloud, Memory])
def test_methods_are_there_with_the_same_parameters(kind: type) -> None:
    for name in METHODS:
        asked, found = (inspect.signature(getattr(each, name)).parameters for each in (Place, kind))
        assert list(asked) == list(found), name
