"""What can be configured, and where it is read from.

`daskflow.yaml` in the working directory comes first, then the user's own, then the defaults; variables `DASKFLOW_...`
win over both. `configs/` shows every option.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from daskflow.errors import ContainerError, SettingsInvalid
from daskflow.execution.credentials import VARIABLE
from daskflow.execution.notices.rules import Rule
from daskflow.model.quantities import Bytes

FILE = "daskflow.yaml"
_PREFIX = "DASKFLOW_"


class SiteSettings(BaseModel):
    """One place that computes."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: Literal["processes", "threads", "synchronous", "dask"] = "processes"
    """`processes` or `threads` of this machine, `synchronous`: in the driver itself, one job after the other, for
    debugging; `dask`: the workers of a scheduler that runs already."""
    workers: int | None = Field(default=None, ge=1)
    """Number of worker processes, or of threads; None: one for each core."""
    threads: int = Field(default=1, ge=1)
    """Jobs that one worker process performs at a time."""
    memory: Bytes | Literal["auto"] = "auto"
    """Memory of one worker [bytes], over which it is restarted; `auto`: a fair share of the machine's."""
    address: str = ""
    """Address of the scheduler, for the kind `dask`: `tcp://host:8786`."""
    dashboard: str = "127.0.0.1:0"
    """Where the dask dashboard listens; port 0 takes any free one, an empty text switches it off."""
    shipping: bool = True
    """Whether `install` may bring packages to its workers; else they must have them."""
    scratch: str | None = None
    """Where command jobs run on its nodes; None: as said for all sites."""
    containers: tuple[str, ...] | None = None
    """The container runtimes that its nodes have; None: as said for all sites."""
    container_options: dict[str, tuple[str, ...]] = {}
    """Further arguments of the program that starts a container, by the name of the runtime."""
    binds: tuple[str, ...] = ()
    """What of the host containers see: `/source`, `/source:/target` or `/source:/target:rw`."""

    @model_validator(mode="after")
    def _has_address(self) -> SiteSettings:
        if self.kind == "dask" and not self.address:
            raise ValueError("a site of the kind 'dask' needs the address of its scheduler: address: tcp://host:8786")
        return self

    @model_validator(mode="after")
    def _names_runtimes(self) -> SiteSettings:
        _check_containers([*(self.containers or ()), *self.container_options], self.binds)
        return self


def _check_containers(names: Iterable[str], binds: Iterable[str] = ()) -> None:
    if not (names := list(names)) and not binds:
        return
    from daskflow.commands.containers.call import Bind  # noqa: PLC0415, most configurations name no containers
    from daskflow.commands.containers.runtimes import RUNTIMES  # noqa: PLC0415, the same

    for name in names:
        if name not in RUNTIMES:
            raise ValueError(f"{name!r} is no container runtime; known are {', '.join(RUNTIMES)}")
    for bind in binds:
        try:
            Bind.parse(bind)
        except ContainerError as error:
            raise ValueError(str(error)) from None


def built_in() -> dict[str, SiteSettings]:
    """The sites that are there without being configured."""
    # Not at import: the first record that is made has pydantic build its schema and look for plugins.
    return {
        "local": SiteSettings(),
        "threads": SiteSettings(kind="threads"),
        "synchronous": SiteSettings(kind="synchronous"),
    }


def _text(value: Any) -> Any:
    """Numbers and booleans of YAML as obstore takes them."""
    return str(value).lower() if isinstance(value, (bool, int, float)) else value


class Settings(BaseModel):
    """All that can be configured."""

    # What does not fit may be a secret at the wrong place.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    store: str = ".daskflow/journal.db"
    """Where runs and results are remembered: a path, or `sqlite:///path`."""
    artifacts: str = ".daskflow/artifacts"
    """Where files and large results lie: a directory, or `s3://bucket/prefix`, `gs://...`, `az://...`."""
    storage: dict[str, Annotated[SecretStr, BeforeValidator(_text)]] = {}
    """How an object storage is reached: `endpoint`, `region` ...; what is not said comes from the environment."""
    signing_key: Path | None = None
    """File of the key that signs what runs code when it is loaded; None: one of the user's own, made when needed."""
    cache: Path | None = None
    """Directory of copies of what an object storage holds, on the node's own disk; None: among temporary files."""
    cache_limit: Bytes = Field(default=100 << 30, gt=0)
    """How much the cache of a node holds [bytes]."""
    scratch: str = ""
    """Where command jobs run: a directory on the node's own disk; empty: beside the cache."""
    containers: tuple[str, ...] = ()
    """The container runtimes, in the order in which they are looked for; empty: all that are known."""
    logs: Path = Path(".daskflow/logs")
    """Directory of the logs of jobs."""
    inline_limit: Bytes = Field(default=65536, ge=0)
    """Results up to this size are kept in the store itself, larger ones among the artifacts [bytes]."""
    site: str = "local"
    """Name of the site where jobs run that name none."""
    sites: dict[str, SiteSettings] = {}
    """The sites by name; `local`, `threads` and `synchronous` are there without being configured."""
    bundling: bool = True
    """Whether jobs of some milliseconds or less share a dask task."""
    notifications: tuple[Rule, ...] = ()
    """Who is told of which events."""

    @model_validator(mode="after")
    def _names_runtimes(self) -> Settings:
        _check_containers(self.containers)
        return self


def load(file: Path | str | None = None) -> Settings:
    """Read the configuration.

    Parameters
    ----------
    file
        Read instead of `daskflow.yaml`.

    Raises
    ------
    SettingsInvalid
        A file or a variable does not fit; the message names the option.
    """
    files = _files(file)
    variables = [name for name in os.environ if name.startswith(_PREFIX) and not name.startswith(VARIABLE)]
    if not files and not variables:
        return Settings()
    for name in variables:
        # pydantic-settings passes over names that it does not know.
        if name.removeprefix(_PREFIX).partition("__")[0].lower() not in Settings.model_fields:
            raise SettingsInvalid(f"The variable {name} names no option. There are {', '.join(Settings.model_fields)}.")
    from pydantic_settings import BaseSettings, SettingsConfigDict, YamlConfigSettingsSource
    from yaml import YAMLError

    class Sources(Settings, BaseSettings):
        model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: Any,
            init_settings: Any,
            env_settings: Any,
            dotenv_settings: Any,
            file_secret_settings: Any,
        ) -> tuple[Any, ...]:
            return (env_settings, *[YamlConfigSettingsSource(settings_cls, path) for path in files])

    try:
        return Settings.model_validate(Sources().model_dump())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        what = (
            "is not known"
            if first["type"] == "extra_forbidden"
            else f"does not fit: {first['msg'].removeprefix('Value error, ')}"
        )
        raise SettingsInvalid(f"The option {place!r} {what} (read {_read(files)}).") from None
    except (YAMLError, TypeError, ValueError, OSError) as error:
        raise SettingsInvalid(f"The configuration cannot be read: {error} (read {_read(files)}).") from None


def _files(file: Path | str | None) -> list[Path]:
    if file is not None:
        if not Path(file).is_file():
            raise SettingsInvalid(f"There is no configuration file {file}.")
        return [Path(file)]
    home = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return [path for path in (Path(FILE), home / "daskflow" / FILE) if path.is_file()]


def _read(files: list[Path]) -> str:
    return ", ".join([*(str(path) for path in files), "variables DASKFLOW_..."])
