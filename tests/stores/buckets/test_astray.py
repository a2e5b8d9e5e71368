from __future__ import annotations

from typing import Any

import pytest

from daskflow.model.work import Work
from daskflow.stores.buckets.astray import KnownSites


def make(site: str, **fields: Any) -> Work:
    return Work(pipeline="sample", site=site, user="ada", **fields)


@pytest.mark.parametrize(
    ("names", "work", "lacking"),
    [
        (None, make("mars"), False),
        (["cedar"], make("cedar"), False),
        (["cedar"], make("mars"), True),
        ([], make("cedar"), True),
        (["cedar"], make("mars", config={"strategy": "relaxed"}), False),
    ],
)
def test_a_site_that_is_not_known(names: list[str] | None, work: Work, lacking: bool) -> None:
    assert KnownSites(names).lack(work) is lacking


def test_who_has_to_configure_it_is_said() -> None:
    here, served = (str(KnownSites({"local", "cedar"}, served=each).unknown("mars")) for each in (False, True))
    assert "site 'mars'; there are cedar, local. Add it under `sites:`" in here
    assert "server" not in here
    assert "site 'mars'; the server knows cedar, local. Add it in the configuration of the server" in served
