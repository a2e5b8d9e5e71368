"""The OpenAPI document tells what works are."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.views.server.conftest import Client, work


def validator(client: Client, method: str) -> Draft202012Validator:
    document = client("GET", "/openapi.json").value
    schema = document["paths"]["/work"][method]["requestBody"]["content"]["application/json"]["schema"]
    return Draft202012Validator(schema | {"components": document["components"]})


@pytest.mark.parametrize("method", ["post", "put"])
@pytest.mark.parametrize("given", [work(), [work()], [], [work(tags=["a"], config={"archive": {"products": "move"}})]])
def test_what_is_taken(client: Client, method: str, given: Any) -> None:
    assert validator(client, method).is_valid(given)
    if method == "post":
        assert client("POST", "/work", given).status == 200


@pytest.mark.parametrize("given", [7, [7], work(strange=1), work(priority=9), [{"pipeline": "a"}], work(timeout="a")])
def test_what_is_not(client: Client, given: Any) -> None:
    assert not validator(client, "post").is_valid(given)
    assert client("POST", "/work", given).status == 422


def test_tokens_are_no_part_of_works(client: Client) -> None:
    parts = client("GET", "/openapi.json").value["components"]["schemas"]
    assert "token" not in parts["DepositedWork"]["properties"]
    assert set(parts["DepositedWork"]["required"]) == {"pipeline", "site", "user"}
    told = client("POST", "/work", work(token="secret"))
    assert "secret" not in told.data.decode()
    assert "secret" not in client("POST", "/view", {}).data.decode()
