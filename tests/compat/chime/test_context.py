from __future__ import annotations

import pytest
from pydantic import SecretStr

from daskflow.compat.chime import buckets
from daskflow.compat.chime.context import HTTPContext
from daskflow.errors import WorkInvalid

_WORK = {"pipeline": "sample", "site": "local", "user": "ada", "function": "math.hypot"}


@pytest.mark.parametrize("token", [None, "t", SecretStr("t")])
def test_buckets_and_results_are_of_the_same_place(token: object) -> None:
    with HTTPContext(timeout=1.0, token=token, base_url="works.db") as http:
        http.buckets.deposit(_WORK)
        work = http.buckets.withdraw("sample")
        assert work is not None
        http.buckets.update({**work, "status": "success", "results": 3})
        assert http.results.get_by_count("sample")[0]["results"] == 3
        http.close()
        assert http.results.status() == {"sample": 1}


def test_buckets_and_results_ask_once_which_of_several_servers_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[list[str]]()

    def answering(urls: list[str], timeout: float) -> str:
        asked.append(urls)
        return urls[0]

    monkeypatch.setattr(buckets, "_answering", answering)
    with HTTPContext(base_url=["works.db", "else.db"]):
        assert asked == [["works.db", "else.db"]]


def test_its_timeout_is_that_of_buckets() -> None:
    with pytest.raises(WorkInvalid, match=r"0\.5 and 60"):
        HTTPContext(timeout=90.0)
