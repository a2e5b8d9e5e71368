"""The routes that tell where works stand, and put in order what was left."""

from __future__ import annotations

import time

import pytest

from tests.views.server.conftest import Client, work

SAMPLE = {"pipeline": "sample"}


def test_where_works_stand(client: Client) -> None:
    client("POST", "/work", [work(), work(), work(pipeline="other one")])
    client("POST", "/work/withdraw", SAMPLE)
    assert client("GET", "/status").value == {"total": 3, "queued": 2, "running": 1, "success": 0, "failure": 0}
    details = {"total": 2, "queued": 1, "running": 1, "success": 0, "failure": 0}
    assert client("GET", "/status/details/sample").value == details
    assert client("GET", "/status/details/Other%20One").value["total"] == 1
    assert client("GET", "/status/details/nothing").value["total"] == 0
    assert client("GET", "/status/pipelines").value == ["other-one", "sample"]
    assert client("GET", "/status/buckets").value == {"other-one": {"queued": 1}, "sample": {"queued": 1, "running": 1}}
    assert client("GET", "/status/buckets?pipeline=other-one").value == {"other-one": {"queued": 1}}


def test_audits_in_parts(client: Client) -> None:
    client("POST", "/work", [work(creation=1.0, retries=5)])
    taken = client("POST", "/work/withdraw?lease=0.001", SAMPLE).value
    while client("GET", "/audit/expired").value == {"expired": 0}:
        time.sleep(0.001)
    (found,) = client("POST", "/view", {"query": {"id": taken["id"]}}).value
    assert found["status"] == "failure"
    assert client("GET", "/audit/failed").value == {"failed": 1}
    assert client("GET", "/audit/failed").value == {"failed": 0}
    assert client("GET", "/audit/stale/10000").value == {"stale": 0}
    (found,) = client("POST", "/view", {"query": {"id": taken["id"]}}).value
    assert found["status"] == "queued"


def test_what_waits_for_too_long_fails(client: Client) -> None:
    client("POST", "/work", [work(creation=1.0)])
    assert client("GET", "/audit/stale/7.0").value == {"stale": 1}
    assert client("GET", "/status").value["failure"] == 1


@pytest.mark.parametrize(
    ("scope", "refused"),
    [("read", [{}, {"stale": None}, {"stale": 3600}]), ("perform", [{"stale": 3600}]), ("deposit", [])],
)
def test_who_may_not_audit_is_told_at_once_what_that_needs(
    guarded: Client, scope: str, refused: list[dict[str, float]]
) -> None:
    token = guarded.token(scope)
    for asked in ({}, {"stale": None}, {"stale": 3600}):
        told = guarded("POST", "/work/audit", asked, x_access_token=token)
        assert told.status == (403 if asked in refused else 200)
        if told.status == 403:
            assert told.value["error"].endswith(
                " does not allow this. It needs `deposit`; `perform` is enough where `stale` is null "
                "(`daskflow work audit --stale never`)."
            )


def test_audits_at_once(client: Client) -> None:
    client("POST", "/work", [work(), work(creation=1.0)])
    assert client("POST", "/work/audit", {}).value == {"failed": 0, "expired": 0, "stale": 0}
    assert client("POST", "/work/audit", {"stale": 3600}).value == {"failed": 0, "expired": 0, "stale": 1}
