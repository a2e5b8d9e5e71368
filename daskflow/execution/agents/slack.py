"""Messages on Slack about the ends of works: how they look, and how they get there."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from daskflow.artifacts.fetching.http import pool_for
from daskflow.errors import DaskflowError, SettingsInvalid
from daskflow.execution.agents.outcome import in_short
from daskflow.execution.notices.messenger import Messenger
from daskflow.model.jsons import as_text, json_ready
from daskflow.model.work import Work, WorkStatus

API = "https://slack.com/api/chat.postMessage"
"""Where the token of a bot posts messages."""
_LONGEST = 2000
"""Results, products and plots that are longer are cut [characters]; a section of Slack holds 3000."""
_BLOCKS = 50
"""So many blocks are in one message at most."""
_KEPT = 16 << 10
"""Of a longer answer only what tells the message from others is kept [bytes]."""
_TELLING = ("channel", "ts", "error", "warning")
_TRIES = 3
_PAUSE = 30.0
"""Where Slack says that there are too many messages it is not waited for longer than this [s]."""
_CONNECT, _READ = 5.0, 10.0
_LOCAL = ("127.0.0.1", "::1", "localhost")

Answer = dict[str, Any]
"""What Slack answered: `ok`, and where it is false `error`."""


class Slack:
    """Posts messages.

    Parameters
    ----------
    secret
        Gives the token of a bot; or an address to which messages are posted as `chat.postMessage` takes them,
        `https://TOKEN@host/path`, with the token if it wants one; or an Apprise URL in which `{channel}` stands for the
        channel. It is asked when the first message is to be posted.
    links
        Under this address products and plots are seen in a browser; empty: nowhere.

    Notes
    -----
    The token is in no error and no answer. By an Apprise URL goes text only.
    """

    def __init__(self, secret: Callable[[], SecretStr], links: str = "") -> None:
        self._secret = secret
        self._links = links
        self._closed = threading.Event()
        self._messengers: dict[str, Messenger] = {}

    def post(self, target: str, work: Work) -> Answer:
        """Post the message of a work to a channel or a member; what was answered, whatever happened."""
        try:
            place = _place(self._secret().get_secret_value())
            if isinstance(place, str):
                return self._by_apprise(place.replace("{channel}", target), target, work)
            message: dict[str, Any] = {"channel": target, "text": text_of(work, self._links)}
            if work.notify.slack.blocks:
                message["blocks"] = blocks_of(work, self._links)
            return self._posted(place, message)
        except DaskflowError as error:
            return {"ok": False, "error": str(error)}
        except ValueError:  # what it says may hold the token
            return {"ok": False, "error": "The credentials for Slack are neither a token nor an address."}

    def close(self) -> None:
        """Wait no longer for Slack to take more messages."""
        self._closed.set()

    def _by_apprise(self, url: str, target: str, work: Work) -> Answer:
        found = self._messengers.get(target)
        if found is None:
            found = self._messengers[target] = Messenger(f"Slack, {target}", SecretStr(url))
        text = text_of(work, escaped=lambda value: value)
        why = found.send(f"{work.pipeline}: {work.status}", text, failure=work.status is WorkStatus.failure)
        return {"ok": False, "error": why} if why else {"ok": True}

    def _posted(self, place: _Place, message: dict[str, Any]) -> Answer:
        for left in reversed(range(_TRIES)):
            status, pause, answer = _once(place, message)
            if status != HTTPStatus.TOO_MANY_REQUESTS or not left or self._closed.wait(min(pause, _PAUSE)):
                break
        return answer


class _Place(NamedTuple):
    """Where messages are posted."""

    url: str
    token: str


def _place(secret: str) -> _Place | str:
    """Where a secret leads; a text is a URL for Apprise."""
    scheme, mark, _ = secret.partition("://")
    if not mark:
        return _Place(API, secret)
    if scheme not in ("http", "https"):
        return secret
    parts = urlsplit(secret)
    if scheme == "http" and parts.hostname not in _LOCAL:
        raise SettingsInvalid("The address of Slack begins with http://, which anybody on the way can read. Use https.")
    host = parts.netloc.rpartition("@")[2]
    return _Place(parts._replace(netloc=host).geturl(), parts.username or "")


def _once(place: _Place, message: dict[str, Any]) -> tuple[int, float, Answer]:
    """Post a message once: the status, what to wait for before the next one [s], and the answer."""
    from urllib3 import Timeout
    from urllib3.exceptions import HTTPError

    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "daskflow"}
    if place.token:
        headers["Authorization"] = f"Bearer {place.token}"
    with pool_for(place.url) as pool:
        try:
            response = pool.request(
                "POST",
                place.url,
                body=json.dumps(message).encode(),
                headers=headers,
                # Redirections would hand the token on; and a message that may have come is not posted again.
                redirect=False,
                retries=False,
                timeout=Timeout(connect=_CONNECT, read=_READ),
            )
        except HTTPError as error:
            # What urllib3 says may hold the address, and an address may be a secret.
            return 0, 0.0, {"ok": False, "error": f"Slack does not answer: {type(error).__name__}."}
    asked = response.headers.get("Retry-After", "")
    pause = float(asked) if asked.isdigit() else 1.0
    return response.status, pause, _answer(response.status, response.data, place.token)


def _answer(status: int, data: bytes, token: str) -> Answer:
    text = data.decode(errors="replace")
    if token:
        text = text.replace(token, "***")
    try:
        found = json_ready(json.loads(text))
    except (ValueError, RecursionError):
        found = None
    good = status == HTTPStatus.OK
    if not isinstance(found, dict):
        # Webhooks of Slack answer with one word.
        return {"ok": True} if good else {"ok": False, "error": f"Slack answers {status}: {text.strip()[:200]}"}
    found.setdefault("ok", good)
    if len(as_text(found)) > _KEPT:
        kept = {name: str(found[name])[:_LONGEST] for name in _TELLING if name in found}
        return {"ok": bool(found["ok"]), **kept}
    return found


def _escaped(text: str) -> str:
    """Text of a user, in which Slack sees no sign of its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def text_of(work: Work, links: str = "", *, escaped: Callable[[str], str] = _escaped) -> str:
    """What is told of the end of a work, as Slack reads it.

    Parameters
    ----------
    links
        Under this address products and plots are seen in a browser; empty: nowhere.
    escaped
        Makes signs harmless in what is no message of the user.
    """
    return "\n".join([_head(work, escaped), *_sections(work, links, escaped)])


def blocks_of(work: Work, links: str = "") -> list[dict[str, Any]]:
    """The blocks that a work asks for, between what is told of its end and what it wants to have shown."""
    given = work.notify.slack.blocks
    own = given.get("blocks", given)
    asked = list(own) if isinstance(own, list) else [own]
    shown = [_section(text) for text in _sections(work, links, _escaped)]
    room = _BLOCKS - 1 - len(shown)
    return [_section(_head(work, _escaped)), *asked[:room], *shown]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[: _LONGEST + 500]}}


def _head(work: Work, escaped: Callable[[str], str]) -> str:
    slack = work.notify.slack
    mentions = " ".join(f"<@{member}>" for member in slack.member_ids or ())
    parts = [" ".join(part for part in (mentions, slack.message) if part)]
    parts.append(escaped(f"{work.pipeline} {work.id} at {work.site}: {work.status} in attempt {work.attempt}"))
    if work.error:
        parts.append(escaped(in_short(work.error)[:_LONGEST]))
    return "\n".join(part for part in parts if part)


def _sections(work: Work, links: str, escaped: Callable[[str], str]) -> list[str]:
    """What the work wants to have shown."""
    slack, parts = work.notify.slack, []
    if slack.results and work.results is not None:
        parts.append(f"results:\n{escaped(json.dumps(work.results, ensure_ascii=False, indent=1)[:_LONGEST])}")
    for name, files, wanted in (("products", work.products, slack.products), ("plots", work.plots, slack.plots)):
        if wanted and files:
            parts.append(f"{name}:\n" + "\n".join(_fitting(_linked(file, links, escaped) for file in files)))
    return parts


def _fitting(lines: Iterable[str]) -> list[str]:
    """As many lines as there is room for: half a link is none."""
    found: list[str] = []
    room = _LONGEST
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            return [*found, "..."]
        found.append(line)
    return found


def _linked(file: str, links: str, escaped: Callable[[str], str]) -> str:
    if file.startswith(("https://", "http://")):
        return f"<{quote(file, safe=':/?&=%#+~')}|{escaped(file)}>"
    if not links or "://" in file or file.startswith("artifact:"):
        return escaped(file)
    return f"<{links.rstrip('/')}/{quote(file.lstrip('/'))}|{escaped(file)}>"
