"""From a URL and options to a client of obstore."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from daskflow.errors import AccessRefused, SettingsInvalid

if TYPE_CHECKING:
    from obstore.store import ObjectStore

RETRY_TIMEOUT = 90.0
"""How long a store that is down or overloaded is asked again [s]."""

_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_LOGINS = ("access_key_id", "skip_signature", "web_identity_token_file", "container_credentials")
"""Options of which one says how a request to S3 is signed; the environment has them with ``AWS_`` before."""


def connect(url: str, options: Mapping[str, str]) -> ObjectStore:
    """Open a client; nothing is sent yet.

    Parameters
    ----------
    url
        ``s3://``, ``gs://`` or ``az://`` with bucket and prefix.
    options
        As obstore has them, and `retry_timeout` [s]. They win over the environment.

    Raises
    ------
    SettingsInvalid
        An option is not known, or does not fit.
    AccessRefused
        Nobody gave credentials for a store that is not Amazon's own.
    """
    from obstore.exceptions import BaseError
    from obstore.store import AzureStore, GCSStore, S3Store

    config: dict[str, Any] = {name.lower().removeprefix("aws_"): value for name, value in options.items()}
    scheme, _, place = url.partition("://")
    bucket, _, prefix = place.partition("/")
    patience = _seconds(config.pop("retry_timeout", RETRY_TIMEOUT))
    endpoint = _endpoint(scheme, config)
    if scheme == "s3" and endpoint and not _has_login(config):
        # Asked without, obstore would look for the metadata service of Amazon's machines, for minutes.
        raise AccessRefused(
            f"There are no credentials for the artifact store {url}. "
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the options access_key_id and secret_access_key."
        )
    if scheme == "s3":
        # One request each all the same, and not every store knows how to delete several at once.
        config.setdefault("disable_bulk_delete", "true")
    # Not obstore's `from_url`: it does not know the option by which `_endpoint` overrules the environment.
    kind: Any = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}[scheme]
    client = {"connect_timeout": "10s", "timeout": "300s", "allow_http": endpoint.startswith("http://")}
    retry = {
        "max_retries": 30,
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=10), "base": 2},
        "retry_timeout": timedelta(seconds=patience),
    }
    try:
        store: ObjectStore = kind(
            bucket, prefix=prefix or None, config=config, client_options=client, retry_config=retry
        )
    except (BaseError, ValueError, TypeError) as error:
        line = str(error).strip().partition("\n")[0]
        raise SettingsInvalid(f"The artifact store {url} cannot be opened: {line} Look at its options.") from None
    return store


def _endpoint(scheme: str, config: dict[str, Any]) -> str:
    if scheme == "gs" and "endpoint" in config:
        config["base_url"] = config.pop("endpoint")
    given = config.get("endpoint") or config.get("endpoint_url") or config.get("base_url")
    if given is None:
        return next((os.environ[name] for name in _ENDPOINTS.get(scheme, ()) if os.environ.get(name)), "")
    if scheme == "s3":
        # obstore prefers the variable AWS_ENDPOINT_URL_S3 to the option `endpoint`.
        config["aws_endpoint_url_s3"] = given
    return str(given)


def _has_login(config: dict[str, Any]) -> bool:
    given = [*config, *(name.lower().removeprefix("aws_") for name, value in os.environ.items() if value)]
    return any(name.startswith(_LOGINS) for name in given)


def _seconds(text: Any) -> float:
    try:
        found = float(text)
    except (TypeError, ValueError):
        found = -1.0
    if found < 0:
        raise SettingsInvalid(f"The option retry_timeout is a number of seconds, not {text!r:.100}.")
    return found
