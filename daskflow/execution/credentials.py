"""Finds secrets in the environment and the keyring, and keeps them out of everything that is written down."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import SecretStr

from daskflow.errors import CredentialsMissing, ExtraMissing

VARIABLE = "DASKFLOW_CREDENTIALS_"
"""How the variables begin that hold credentials."""
_TOKEN = "token"
"""User in the keyring of a secret that needs no user."""
KEYRING = "keyring:"
"""How a text begins that stands for a secret in the keyring."""
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")

FORWARDING: ContextVar[bool] = ContextVar("daskflow_forwarding", default=False)
"""Whether what is pickled now goes to a worker and nowhere else."""


@contextmanager
def forwarding() -> Iterator[None]:
    """Let the credentials that are pickled in a block, or in a function decorated so, carry their secrets.

    Notes
    -----
    Only for what goes to a worker's memory: outside of such a block a pickle holds no more than the name.
    """
    token = FORWARDING.set(True)
    try:
        yield
    finally:
        FORWARDING.reset(token)


class Credentials:
    """A handle to a user and a secret, which stand for themselves nowhere but in the job that needs them.

    Parameters
    ----------
    name
        What they are for: the name of a site, or a host.

    Notes
    -----
    Its key, its pickle and its text hold the name only. The driver looks the secret up, once, and sends it along with
    the job that has the handle as an argument; the connection to the workers should then be encrypted.
    """

    __slots__ = ("_secret", "_user", "name")

    def __init__(self, name: str, user: str = "", secret: SecretStr | None = None) -> None:
        self.name = name
        """What they are for."""
        self._user = user
        self._secret = secret

    @property
    def user(self) -> str:
        """The user; empty where the secret is a token."""
        return self.reveal()[0]

    def reveal(self) -> tuple[str, str]:
        """The user, empty where there is none, and the secret.

        Raises
        ------
        CredentialsMissing
            Neither the environment nor the keyring has them.
        """
        if self._secret is None:
            self._user, self._secret = _found(self.name)
        return self._user, self._secret.get_secret_value()

    def __reduce__(self) -> tuple[Any, ...]:
        if not FORWARDING.get():
            return Credentials, (self.name,)
        return _arrived, (self.name, *self.reveal())

    def __deepcopy__(self, memo: object) -> Self:
        # Each attempt gets a copy of the arguments; nobody can change this, and a copy by pickle would lose the secret.
        return self

    def __dask_tokenize__(self) -> tuple[str, str]:
        return "daskflow-credentials", self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credentials) and other.name == self.name

    def __hash__(self) -> int:
        return hash(("daskflow-credentials", self.name))

    def __repr__(self) -> str:
        return f"<Credentials {self.name}>"


def credentials(site_or_url: str) -> Credentials:
    """The credentials for a site, or for the host of a URL.

    They are looked up in the variable `DASKFLOW_CREDENTIALS_NAME`, as `user:password` or as a token, with NAME in
    capitals and `_` for all that is neither letter nor digit; then in the keyring, under the service `daskflow:NAME`:
    `keyring set daskflow:archive.example.org USER`, where the user `token` stands for no user.

    Raises
    ------
    CredentialsMissing
        Neither has them; the message names both places.
    """
    found = Credentials(_name_of(site_or_url))
    found.reveal()
    return found


def revealed(text: str) -> SecretStr:
    """A text with what it stands for: `${NAME}` for a variable, `keyring:SERVICE/USER` for a secret in the keyring.

    Raises
    ------
    CredentialsMissing
        The variable is not set, or the keyring has no such secret.
    ExtraMissing
        keyring is not installed.
    """
    if not text.startswith(KEYRING):
        return SecretStr(_PLACEHOLDER.sub(lambda found: _variable(found[1]), text))
    service, _, user = text.removeprefix(KEYRING).rpartition("/")
    secret = _password(service, user)
    if not secret:
        raise CredentialsMissing(f"The keyring has nothing for {text!r}. Put it there: `keyring set {service} {user}`.")
    return SecretStr(secret)


def is_reference(text: str) -> bool:
    """Whether a text stands for something that the environment or the keyring has."""
    return text.startswith(KEYRING) or _PLACEHOLDER.search(text) is not None


def _arrived(name: str, user: str, secret: str) -> Credentials:
    return Credentials(name, user, SecretStr(secret))


def _name_of(site_or_url: str) -> str:
    name = (urlsplit(site_or_url).hostname or "") if "://" in site_or_url else site_or_url
    if not name:
        raise CredentialsMissing(
            f"{site_or_url.rpartition('@')[2]!r} names neither a site nor a host, so there are no credentials for it."
        )
    return name


def _found(name: str) -> tuple[str, SecretStr]:
    variable = VARIABLE + re.sub(r"[^A-Z0-9]", "_", name.upper())
    text = os.environ.get(variable, "")
    if text:
        user, colon, secret = text.partition(":")
        return (user, SecretStr(secret)) if colon else ("", SecretStr(text))
    user, secret, trouble = _in_keyring(f"daskflow:{name}")
    if not secret:
        raise CredentialsMissing(
            f"Nobody keeps credentials for {name!r}. Put them into the keyring, `keyring set daskflow:{name} USER` "
            f"(USER is `{_TOKEN}` for a token){trouble}, or into the variable {variable}: `user:password`, or a token."
        )
    return "" if user == _TOKEN else user, SecretStr(secret)


def _in_keyring(service: str) -> tuple[str, str, str]:
    """User and secret, empty where there are none, and what is wrong with the keyring."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return "", "", "; it needs keyring: pip install 'daskflow[notify]'"
    try:
        found = keyring.get_credential(service, None)
        if found is not None:
            return found.username, found.password, ""
        # Backends that keep secrets in a file cannot tell which users they know.
        return _TOKEN, keyring.get_password(service, _TOKEN) or "", ""
    except KeyringError as error:
        return "", "", f"; it cannot be used here now ({type(error).__name__})"


def _password(service: str, user: str) -> str | None:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise ExtraMissing(
            f"{KEYRING}{service}/{user} needs keyring. Install it: pip install 'daskflow[notify]'"
        ) from None
    try:
        return keyring.get_password(service, user)
    except KeyringError as error:
        raise CredentialsMissing(
            f"The keyring cannot be asked for {KEYRING}{service}/{user} ({type(error).__name__})."
        ) from None


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise CredentialsMissing(f"The variable {name} is not set; the configuration refers to it as ${{{name}}}.")
    return value
