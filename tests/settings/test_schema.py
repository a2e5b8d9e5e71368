"""The JSON schema for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from daskflow.settings.options import Settings
from daskflow.settings.schema import docstrings, schema
from daskflow.settings.sites import PoolSettings, SiteSettings

CONFIGS = Path(__file__).parents[2] / "configs"
FILE = CONFIGS / "daskflow.schema.json"


def errors(given: Any) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(schema()).iter_errors(given)]


def test_the_shipped_one_is_current() -> None:
    assert json.loads(FILE.read_text()) == schema(), "make it anew: daskflow site schema > configs/daskflow.schema.json"


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_every_option_is_described() -> None:
    for model in (Settings, SiteSettings, PoolSettings):
        assert set(docstrings(model)) == set(model.model_fields)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_fit_and_name_it(path: Path) -> None:
    text = path.read_text()
    assert text.splitlines()[0] == "# yaml-language-server: $schema=daskflow.schema.json"
    given = yaml.safe_load(text)
    for rule in given.get("notifications", []):
        # Editors read YAML 1.2, where `on` is no truth.
        rule["on"] = rule.pop(True)
    assert errors(given) == []


@pytest.mark.parametrize(
    "given",
    [
        {"stroe": "a"},
        {"sites": {"a": {"kind": "slurm", "address": "x"}}},
        {"sites": {"a": {"queue": "x"}}},
        {"sites": {"a": {"kind": "slurm", "pools": {"b": {"quue": "x"}}}}},
        {"sites": {"a": {"kind": "slurp"}}},
        {"sites": {"a": {"kind": "slurm", "walltime": 90}}},
    ],
)
def test_what_does_not_fit(given: Any) -> None:
    assert errors(given)
