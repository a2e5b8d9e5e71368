"""Sends messages to one place by Apprise, and keeps the secrets of its address to itself."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pydantic import SecretStr

from daskflow.errors import ExtraMissing, SettingsInvalid

_TELLTALES = ("apprise", "urllib3.connectionpool", "urllib3.util.retry")
"""Loggers that write whole addresses, with the tokens in them, when they are asked for details."""
_SHORTEST_SECRET = 4


class Messenger:
    """Sends messages to one Apprise URL.

    Parameters
    ----------
    name
        How the place is called in errors: what the configuration says, with its placeholders.
    url
        The address itself.

    Raises
    ------
    ExtraMissing
        Apprise is not installed.
    SettingsInvalid
        The URL is none that Apprise knows.

    Notes
    -----
    Each message is sent in the thread that asks. Apprise waits some 4 s for a connection, and as long for each answer.

    References
    ----------
    https://appriseit.com/services/
    """

    def __init__(self, name: str, url: SecretStr) -> None:
        self.name = name
        self._url = url
        try:
            import apprise
        except ImportError:
            raise ExtraMissing("Notifications need Apprise. Install it: pip install 'daskflow[notify]'") from None
        # A limit of time for a service would make Apprise use a pool of threads, which the interpreter waits for at its
        # exit, however long a server takes to answer.
        asset = apprise.AppriseAsset(app_id="daskflow", async_mode=False, service_timeout=0, storage_mode="memory")
        self._apprise = apprise.Apprise(asset=asset)
        with _hushed():
            if not self._apprise.add(url.get_secret_value()):
                raise SettingsInvalid(
                    f"The notification to {name!r} leads nowhere: Apprise does not know such a URL. "
                    "They are listed at https://appriseit.com/services/."
                )

    def send(self, title: str, body: str, *, failure: bool = False) -> str:
        """Send one message.

        Parameters
        ----------
        failure
            Whether it tells of something bad: some services show that.

        Returns
        -------
        str
            Why it could not be sent, without secrets; empty when it was.
        """
        import apprise

        kind = apprise.NotifyType.FAILURE if failure else apprise.NotifyType.INFO
        with _hushed() as said:
            try:
                sent = bool(self._apprise.notify(body, title, kind, apprise.NotifyFormat.TEXT))
            except Exception as error:  # a plugin may raise whatever it likes; a run does not care
                said.append(f"{type(error).__name__}: {error}")
                sent = False
        return "" if sent else self._masked("; ".join(dict.fromkeys(said)) or "Apprise does not say why")

    def _masked(self, text: str) -> str:
        url = self._url.get_secret_value()
        if url != self.name:  # else there is nothing in it that the configuration does not say
            parts = {url, *re.split(r"[:/@?&=#,]+", url.partition("://")[2])}
            for part in sorted(parts, key=len, reverse=True):
                if len(part) >= _SHORTEST_SECRET:
                    text = text.replace(part, "***")
        return text

    def __repr__(self) -> str:
        return f"<Messenger {self.name}>"


_SAID: ContextVar[list[str] | None] = ContextVar("daskflow_messenger_said", default=None)


@contextmanager
def _hushed() -> Iterator[list[str]]:
    """Keep what Apprise logs here from being written; gives its warnings."""
    for name in _TELLTALES:
        logging.getLogger(name).addFilter(_listen)  # the same one is not added twice
    said: list[str] = []
    token = _SAID.set(said)
    try:
        yield said
    finally:
        _SAID.reset(token)


def _listen(record: logging.LogRecord) -> bool:
    """A filter of loggers that lets nothing pass while a message is being sent in this thread."""
    said = _SAID.get()
    if said is None:
        return True
    if record.levelno >= logging.WARNING:
        said.append(record.getMessage())
    return False
