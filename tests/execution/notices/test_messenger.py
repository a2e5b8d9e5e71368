from __future__ import annotations

import logging
import socket
import subprocess
import sys

import pytest
from pydantic import SecretStr

from daskflow.errors import ExtraMissing, SettingsInvalid
from daskflow.execution.notices.messenger import Messenger
from tests.acceptance.shell import environment
from tests.execution.patience import until
from tests.execution.webhooks import webhook


def test_a_message_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with webhook() as hook:
        messenger = Messenger("${HOOK}", SecretStr(f"{hook.url}/a/path"))
        assert messenger.send("a title", "two\nlines") == ""
        assert messenger.send("a title", "bad", failure=True) == ""
    assert [(m["title"], m["message"], m["type"]) for m in hook.messages] == [
        ("a title", "two\nlines", "info"),
        ("a title", "bad", "failure"),
    ]
    assert hook.paths == ["/a/path"] * 2


def test_why_a_message_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with webhook() as hook:
        hook.status = 403
        assert "403" in Messenger(hook.url, SecretStr(hook.url)).send("a title", "a body")
    with socket.socket() as taken:  # nobody listens there
        taken.bind(("127.0.0.1", 0))
        url = f"json://127.0.0.1:{taken.getsockname()[1]}"
        assert "127.0.0.1" in Messenger(url, SecretStr(url)).send("a title", "a body")


def test_secrets_reach_no_log_and_no_error(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    caplog.set_level(1)
    with webhook() as hook:
        hook.status = 500
        messenger = Messenger("${HOOK}", SecretStr(hook.url.replace("//", "//me:hush-hush@") + "/T0KEN"))
        why = messenger.send("a title", "a body")
        assert hook.paths == ["/T0KEN"]
    with pytest.raises(SettingsInvalid) as caught:
        Messenger("${HOOK}", SecretStr("slok://hush-hush/T0KEN"))
    assert why
    told = f"{caplog.text} {why} {messenger!r} {vars(messenger)} {caught.value}"
    assert "hush-hush" not in told
    assert "T0KEN" not in told
    logging.getLogger("apprise").warning("others may use it")
    assert "others may use it" in caplog.text


def test_an_address_that_apprise_does_not_know() -> None:
    with pytest.raises(SettingsInvalid, match=r"The notification to '\$\{HOOK\}' leads nowhere"):
        Messenger("${HOOK}", SecretStr("carrier-pigeon://loft"))


def test_without_apprise_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'daskflow\[notify\]'"):
        Messenger("${HOOK}", SecretStr("json://127.0.0.1"))


def test_a_server_that_does_not_answer_does_not_keep_the_process() -> None:
    code = (
        "import sys, threading\n"
        "from pydantic import SecretStr\n"
        "from daskflow.execution.notices.messenger import Messenger\n"
        "messenger = Messenger('x', SecretStr(sys.argv[1] + '?rto=300'))\n"
        "threading.Thread(target=messenger.send, args=('title', 'body'), daemon=True).start()\n"
        "sys.stdin.readline()\n"
    )
    with webhook() as hook:
        hook.answering.clear()
        command = [sys.executable, "-c", code, hook.url]
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment(NO_PROXY="*")) as process:
            try:
                until(lambda: hook.messages)
                process.communicate(b"\n", timeout=30)
            finally:
                process.kill()
    assert process.returncode == 0
