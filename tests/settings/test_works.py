"""Options of works and of the server."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from daskflow.settings.options import Settings
from daskflow.settings.works import ServerSettings, WorkSettings


def test_what_holds_if_nothing_is_said() -> None:
    settings = Settings()
    assert (settings.works.store, settings.works.token, settings.works.lease) == ("", None, 60.0)
    assert (settings.server.host, settings.server.port, settings.server.open) == ("127.0.0.1", 8790, False)


def test_units_are_read() -> None:
    assert WorkSettings.model_validate({"lease": "2 min"}).lease == 120.0
    assert ServerSettings.model_validate({"request_limit": "8 MiB"}).request_limit == 8 << 20


@pytest.mark.parametrize(
    "wrong", [{"lease": 0}, {"lease": "2 d"}, {"pipeline": "No Name"}, {"strange": 1}, {"functions": 7}]
)
def test_what_does_not_fit_works(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WorkSettings.model_validate(wrong)


@pytest.mark.parametrize("wrong", [{"port": 70000}, {"rate": 0}, {"request_limit": 0}, {"strange": 1}])
def test_what_does_not_fit_a_server(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ServerSettings.model_validate(wrong)


def test_the_token_is_never_shown() -> None:
    settings = WorkSettings.model_validate({"token": "secret-of-ada"})
    assert "secret" not in f"{settings!r} {settings} {settings.model_dump_json()}"
    with pytest.raises(ValidationError) as refused:
        WorkSettings.model_validate({"token": ["secret-of-ada"]})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["functions", "commands", "sites"])
def test_one_text_is_a_list_of_one(name: str) -> None:
    assert getattr(WorkSettings.model_validate({name: "burst.*"}), name) == ("burst.*",)
    assert getattr(WorkSettings.model_validate({name: ["a", "b"]}), name) == ("a", "b")
