"""What can be configured, and where it is read from.

`daskflow.yaml` in the working directory comes first, then the user's own, then the defaults; variables `DASKFLOW_...`
win over both. `configs/` shows every option.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from daskflow.errors import SettingsInvalid
from daskflow.execution.credentials import VARIABLE
from daskflow.execution.notices.rules import Rule
from daskflow.model.quantities import Bytes, Seconds
from daskflow.settings.mistakes import told
from daskflow.settings.sites import SiteSettings, built_in, check_containers, check_names, text_of
from daskflow.settings.works import ServerSettings, WorkSettings

__all__ = ["FILE", "Settings", "SiteSettings", "built_in", "load", "variables_to_hand_on"]

FILE = "daskflow.yaml"
_PREFIX = "DASKFLOW_"
_TOLD = frozenset(
    "BATCH_FOLDER BATCH_ID CORES INDEX LAUNCH MEMORY NODES SERVICE SHARED_SCRATCH TASKS THREADS".split()  # noqa: SIM905
    + "ATTEMPT JOB RUN SCRATCH_DIR TIME_LEFT TOKEN".split()  # noqa: SIM905
)
"""What variables are called after the prefix by which daskflow tells batch jobs and commands of themselves: these are
no options, and daskflow may be what a command starts."""
_PARAMETER = f"{_PREFIX}PARAM_"
"""Begins the variables by which commands are told the parameters of their job."""
_SECRET = ("storage", "works__token")
"""Options whose variables may hold secrets."""
_PASSWORD = re.compile(r"""(\w://[^:/@\s"]*):[^/@\s"]*(?=@)|(?<=[?&])(?:ssl)?password=[^&\s"]*&?""")
"""In a URL, with what stands before it that is kept."""
_FIELD = re.compile(r'field "(\w+)"')
"""How pydantic-settings names an option."""
_SITES = "sites"
"""Directory, beside the store, of what sites keep."""


class Settings(BaseModel):
    """All that can be configured."""

    # What does not fit may be a secret at the wrong place.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    store: str = ".daskflow/journal.db"
    """Where runs and results are remembered: a path, `sqlite:///path`, or `postgresql://user@host/database` with the
    password in ~/.pgpass or in the variable PGPASSWORD."""
    store_patience: Seconds = Field(default=600.0, ge=0, le=86400)
    """For so long a run waits for a server of the store that is away; then it is interrupted [s]."""
    artifacts: str = ".daskflow/artifacts"
    """Where files and large results lie: a directory, or `s3://bucket/prefix`, `gs://...`, `az://...`."""
    storage: dict[str, Annotated[SecretStr, BeforeValidator(text_of, json_schema_input_type=str | float | bool)]] = {}
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
    works: WorkSettings = Field(default_factory=WorkSettings)
    """Works in buckets, and the agents that perform them."""
    server: ServerSettings = Field(default_factory=ServerSettings)
    """The server of `daskflow serve`."""

    @model_validator(mode="after")
    def _names_fit(self) -> Settings:
        check_containers(self.containers)
        check_names(self.sites)
        return self

    def known_sites(self) -> set[str]:
        """Names of all sites."""
        return {*built_in(), *self.sites}

    def home_of(self, site: str) -> str:
        """Directory of what batch jobs of a site share with the driver, where the site names none: beside the store."""
        kind, mark, rest = self.store.partition("://")
        store = (rest[1:] if kind == "sqlite" else "") if mark else self.store
        beside = Path(store) if store else self.logs
        return str(beside.expanduser().absolute().parent / _SITES / site)


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
    variables = _variables()
    if not files and not variables:
        return Settings()
    for name in variables:
        # pydantic-settings passes over names that it does not know.
        if _option(name) not in Settings.model_fields:
            raise SettingsInvalid(f"The variable {name} names no option. There are {', '.join(Settings.model_fields)}.")
    from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError, YamlConfigSettingsSource
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
        return Settings.model_validate(Sources().model_dump(exclude_unset=True))
    except ValidationError as error:
        raise SettingsInvalid(f"{told(error, Settings)} (read {_read(files)}).") from None
    except SettingsError as error:
        field = _FIELD.search(str(error))
        name = f"The variable {_PREFIX}{field.group(1).upper()}" if field else "One of the variables"
        raise SettingsInvalid(f"{name} is no JSON, and the option needs it (read {_read(files)}).") from None
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        raise SettingsInvalid(f"The configuration cannot be read: {error} (read {_read(files)}).") from None
    except (TypeError, ValueError):
        raise SettingsInvalid(
            f"A configuration is a mapping of options: `name: value` (read {_read(files)})."
        ) from None


def _variables() -> list[str]:
    given = [name for name in os.environ if name.startswith(_PREFIX) and not name.startswith((VARIABLE, _PARAMETER))]
    return [name for name in given if name.removeprefix(_PREFIX) not in _TOLD]


def _option(variable: str) -> str:
    return variable.removeprefix(_PREFIX).partition("__")[0].lower()


def _whole(variable: str) -> str:
    return variable.removeprefix(_PREFIX).lower()


def variables_to_hand_on() -> dict[str, str]:
    """The variables that set options here, for a process elsewhere, without secrets and without passwords in URLs."""
    handed = {name: os.environ[name] for name in _variables() if not _whole(name).startswith(_SECRET)}
    return {name: without_password(_tokenless(name, value)) for name, value in handed.items()}


def without_password(text: str) -> str:
    """A text without the passwords of URLs in it.

    Examples
    --------
    >>> without_password("postgresql://ada:secret@db.example.org/group")
    'postgresql://ada@db.example.org/group'
    """
    return _PASSWORD.sub(r"\1", text)


def _tokenless(variable: str, value: str) -> str:
    """The value of a variable; of one that is JSON for all options of works, without the token."""
    if _whole(variable) != "works":
        return value
    try:
        options = json.loads(value)
    except ValueError:
        return ""
    return json.dumps({name: each for name, each in options.items() if name != "token"})


def _files(file: Path | str | None) -> list[Path]:
    if file is not None:
        if not Path(file).is_file():
            raise SettingsInvalid(f"There is no configuration file {file}.")
        return [Path(file)]
    home = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return [path for path in (Path(FILE), home / "daskflow" / FILE) if path.is_file()]


def _read(files: list[Path]) -> str:
    return ", ".join([*(str(path) for path in files), "variables DASKFLOW_..."])
