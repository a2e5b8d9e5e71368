"""The configuration as a JSON schema, by which editors complete and check `daskflow.yaml`."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any, get_args

from pydantic import BaseModel

from daskflow.execution.notices.rules import Rule
from daskflow.settings.kinds import KINDS_OF, Kind, strangers
from daskflow.settings.options import Settings
from daskflow.settings.sites import PoolSettings, SiteSettings

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema of a configuration file."""
    made = Settings.model_json_schema()
    made["$schema"] = _DIALECT
    made["title"] = "Configuration of daskflow"
    parts: dict[str, type[BaseModel]] = {"Rule": Rule, "PoolSettings": PoolSettings, "SiteSettings": SiteSettings}
    for name, model in parts.items():
        _describe(made["$defs"][name], model)
    _describe(made, Settings)
    _allow_yaml(made["$defs"]["Rule"])
    _know_kinds(made["$defs"]["SiteSettings"])
    return made


def _describe(part: dict[str, Any], model: type[BaseModel]) -> None:
    """Take the descriptions of options from the docstrings below them."""
    texts = docstrings(model)
    for name, option in part["properties"].items():
        option.pop("title", None)
        if name in texts:
            option["description"] = texts[name]


def docstrings(model: type[BaseModel]) -> dict[str, str]:
    """What stands below each field of a record, and of those that it extends, as one line each."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if not issubclass(one, BaseModel) or one is BaseModel:
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        assert isinstance(tree, ast.ClassDef)
        for field, below in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                text = getattr(getattr(below, "value", None), "value", None)
                if isinstance(text, str):
                    found[field.target.id] = " ".join(text.split())
    return found


def _allow_yaml(rule: dict[str, Any]) -> None:
    """One pattern may stand for a list of one."""
    option = rule["properties"]["on"]
    rule["properties"]["on"] = {"anyOf": [{"type": "string"}, option], "description": option.pop("description", "")}


def _know_kinds(site: dict[str, Any]) -> None:
    """Tell of each option which kinds of sites have it, and refuse those that a kind has not."""
    options = site["properties"]
    for name, having in KINDS_OF.items():
        options[name]["description"] += f" (Kinds: {', '.join(having)}.)"
    kinds = [kind for one in get_args(Kind) for kind in get_args(one) or (one,)]
    site["allOf"] = [
        {
            "if": {"properties": {"kind": {"const": kind}}, **({} if kind == "processes" else {"required": ["kind"]})},
            "then": {"properties": dict.fromkeys(strangers(kind, options), False)},
        }
        for kind in kinds
    ]
