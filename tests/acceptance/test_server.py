"""`daskflow serve`, as a process: killed among its agents, beside another one, and over TLS."""

from __future__ import annotations

import datetime
import ipaddress
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from daskflow.errors import ServerRefused, ServerSilent, TokenRefused
from daskflow.model.work import Work
from daskflow.settings.buckets import Buckets, open_shelf
from daskflow.stores import buckets as stored
from daskflow.stores.buckets.shelf import Wanted
from tests.acceptance.shell import daskflow
from tests.services.servers import ServerProcess

pytestmark = pytest.mark.acceptance

AGENT = """
import sys
from daskflow import Buckets

buckets = Buckets(sys.argv[1])
with open(sys.argv[2], "a", buffering=1) as log:
    while True:
        work = buckets.withdraw("sample", lease=60)
        if work is None:
            if not buckets.count({"status": {"$in": ["queued", "running"]}}):
                break
            buckets.shelf.await_deposit(["sample"], 1)
            continue
        log.write(f"{work.id} {work.attempt}\\n")
        work.results, work.status = work.parameters["x"] ** 2, "success"
        buckets.update(work)
"""
SLEEPER = """
import sys
from daskflow import Buckets
from daskflow.stores.buckets.shelf import Wanted

line = Buckets(sys.argv[1]).shelf.line
print("waiting", flush=True)
print(line.ask("POST", "/work/withdraw", query={"wait": 15}, body={"pipeline": "sample"}, request="r").value["id"])
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path, "--open") as made:
        yield made


def work(number: int = 0, **fields: Any) -> Work:
    usual = {"pipeline": "sample", "site": "local", "user": "ada", "function": "math.sqrt", "parameters": {"x": number}}
    return Work(**usual | fields)


def start(script: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, *arguments], text=True, **options)


def await_that(holds: Callable[[], bool], within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_killed_among_its_agents_it_loses_and_doubles_nothing(server: ServerProcess, tmp_path: Path) -> None:
    buckets = Buckets(server.url)
    ids = buckets.deposit([work(number) for number in range(150)])
    logs = [tmp_path / f"agent-{number}.log" for number in range(3)]
    agents = [start(AGENT, server.url, str(log)) for log in logs]
    # What agents do is seen in the store itself while the server is away.
    with stored.Buckets(open_shelf(str(tmp_path / ".daskflow" / "journal.db"), None)) as inside:
        for done in (20, 60, 100):
            await_that(lambda done=done: inside.status()["success"] >= done)  # type: ignore[misc]
            server.kill()
            server.start()
        assert [agent.wait(120) for agent in agents] == [0, 0, 0]
        found = inside.view(limit=-1)
    assert {found.id for found in found} == set(ids)
    assert {each.status for each in found} == {"success"}
    assert all(each.results == each.parameters["x"] ** 2 for each in found)
    # Nobody was given a work that another one has, and none was given away unheard.
    given = Counter(line for log in logs for line in log.read_text().splitlines())
    assert given == Counter(f"{id} 1" for id in ids)


def test_two_servers_share_a_store(server: ServerProcess, tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--open") as other:
        one, two = Buckets(server.url), Buckets(other.url)
        ids = one.deposit([work(number) for number in range(40)])
        logs = [tmp_path / f"agent-{number}.log" for number in range(2)]
        agents = [start(AGENT, url, str(log)) for url, log in zip((server.url, other.url), logs, strict=True)]
        assert [agent.wait(120) for agent in agents] == [0, 0]
        given = [line.split()[0] for log in logs for line in log.read_text().splitlines()]
        assert sorted(given) == sorted(ids)
        assert one.status() == two.status()
        # What comes to one of them wakes who waits at the other.
        assert two.withdraw("sample") is None
        woken = threading.Event()

        def wait() -> None:
            while two.withdraw("sample") is None:
                two.shelf.await_deposit(["sample"], 600)
            woken.set()

        thread = threading.Thread(target=wait)
        thread.start()
        one.deposit(work())
        assert woken.wait(60)
        thread.join()
        one.close()
        two.close()


def test_an_agent_that_dies_while_it_waits_holds_nothing(server: ServerProcess) -> None:
    agent = start(SLEEPER, server.url, stdout=subprocess.PIPE)
    assert agent.stdout is not None
    assert agent.stdout.readline() == "waiting\n"
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    agent.stdout.close()
    with Buckets(server.url) as buckets:
        (id,) = buckets.deposit(work())
        shelf = buckets.shelf
        await_that(lambda: shelf.withdraw(Wanted(("sample",)), lease=None, holder="me") is not None)
        found = buckets.get(id)
        assert found is not None
        assert (found.status, found.attempt - found.given_back) == ("running", 1)


def test_sigterm_ends_it_in_order(server: ServerProcess) -> None:
    agent = start(SLEEPER, server.url, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert agent.stdout is not None
    assert agent.stdout.readline() == "waiting\n"
    assert server.stop() == 0
    assert "Traceback" not in server.log
    # The agent asks again until there is a server, and goes on.
    server.start()
    with Buckets(server.url) as buckets:
        (id,) = buckets.deposit(work())
    out, _ = agent.communicate(timeout=60)
    assert out.strip() in {id, ""}


def test_tokens_from_the_command_line(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        made = json.loads(daskflow(tmp_path, "token", "create", "ada", "--scope", "read,deposit", "--json"))
        with pytest.raises(TokenRefused, match="Set DASKFLOW_TOKEN"):
            Buckets(server.url).deposit(work())
        with Buckets(server.url, token=made["token"]) as buckets:
            buckets.deposit(work())
            assert buckets.status()["queued"] == 1
            with pytest.raises(TokenRefused, match="It needs `perform`"):
                buckets.withdraw("sample")
            assert "is revoked" in daskflow(tmp_path, "token", "revoke", "ada")
            with pytest.raises(TokenRefused, match="was revoked"):
                buckets.status()
        assert made["token"] not in server.log
        files = [path.read_bytes() for path in (tmp_path / ".daskflow").rglob("*") if path.is_file()]
        assert not any(made["token"].split("_", 2)[2].encode() in data for data in files)


def certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for this machine that nobody has signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "daskflow of the tests")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "server.pem", directory / "server.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    return paths


def test_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public, private = certificate(tmp_path)
    options = ("--certificate", str(public), "--private-key", str(private), "--host", "0.0.0.0")
    with ServerProcess(tmp_path, *options) as server:
        url = f"https://127.0.0.1:{server.port}"
        token = server.token("deposit")
        with pytest.raises(ServerRefused, match=r"certificate .* is not trusted"):
            Buckets(url, token=token).status()
        monkeypatch.setenv("DASKFLOW_WORKS__AUTHORITIES", str(public))
        with Buckets(url, token=token) as buckets:
            buckets.deposit(work())
            assert buckets.status()["queued"] == 1
        # Who speaks to it in plain text gets nothing.
        plain = Buckets(url.replace("https", "http"), token=token)
        plain.shelf.line._patience = 0.0  # type: ignore[attr-defined]
        with pytest.raises(ServerSilent):
            plain.status()


def test_a_store_in_postgresql(postgres: str, tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "--open", DASKFLOW_STORE=postgres) as server:
        with Buckets(server.url) as buckets:
            ids = buckets.deposit([work(number) for number in range(20)])
        logs = [tmp_path / f"agent-{number}.log" for number in range(2)]
        agents = [start(AGENT, server.url, str(log)) for log in logs]
        assert [agent.wait(120) for agent in agents] == [0, 0]
        assert sorted(line.split()[0] for log in logs for line in log.read_text().splitlines()) == sorted(ids)
        assert server.stop() == 0
