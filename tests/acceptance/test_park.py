"""The example of PARK (2009): reduce at one site, fetch the product, bring a model to another site, and fit there."""

from __future__ import annotations

import base64
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from math import cos
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.shell import daskflow, ran, run

CONFIGURATION = """
sites:
  sns:
    workers: 1
  compufans:
    workers: 1
"""

STUDY = '''
from dataclasses import dataclass
from pathlib import Path

import mymodel
from daskflow import credentials, current, fetch, flow, install, site, task


@dataclass
class Reduced:
    url: str
    points: int


@task
def reduce(infile: Path, outfile: str, server: str) -> Reduced:
    """Counts and monitor of each point become reflectivity and its error."""
    mymodel.tick("reduce")
    lines = []
    for line in infile.read_text().splitlines():
        q, counts, monitor = map(float, line.split())
        lines.append(f"{q} {counts / monitor} {max(counts, 1.0) ** 0.5 / monitor}")
    Path(outfile).write_text("\\n".join(lines))
    return Reduced(f"{server}/{Path(outfile).name}", len(lines))


@flow
def study(server: str):
    reduction = reduce(Path("snsdata/bigfile.nxs"), "shared/bigfile.refl", server, site="sns")
    with site("compufans"):
        upload = install(mymodel)
        data = fetch(
            reduction.output.url, auth=credentials("sns"), when=reduction.succeeded, name="bigfile.refl"
        )
        current().emit("park.fetching", file=data.name)
        model = mymodel.prefit(when=upload.succeeded)
        assembly = mymodel.define_fit(model=model.output.feasible, data=data.output.filename, when=upload.succeeded)
        return mymodel.fit(assembly, when=model.succeeded & data.succeeded)
'''

MODEL = '''
"""A film on a substrate, as reflectometry sees it."""

from dataclasses import dataclass
from math import cos

from daskflow import report, task

__version__ = "1.0"
CONTRAST = 0.6


def tick(name):
    with open("ticks", "a") as file:
        file.write(f"{name}\\n")


@dataclass
class Feasible:
    feasible: list[float]


@dataclass
class Assembly:
    thicknesses: list[float]
    points: list[tuple[float, float, float]]


def reflectivity(q, thickness):
    """That of two interfaces, in the first Born approximation; q in 1/Angstrom, thickness in Angstrom."""
    return (1 + CONTRAST**2 + 2 * CONTRAST * cos(q * thickness)) / (1e4 * q**4)


@task
def prefit() -> Feasible:
    """Thicknesses whose fringes can be seen between 0.01 and 0.2 / Angstrom."""
    tick("prefit")
    return Feasible([thickness / 2 for thickness in range(100, 800) if 6.3 / (thickness / 2) < 0.19])


@task
def define_fit(model: list[float], data: str) -> Assembly:
    tick("define_fit")
    with open(data) as file:
        return Assembly(model, [tuple(map(float, line.split())) for line in file])


@task
def fit(assembly: Assembly) -> dict:
    tick("fit")

    def chisq(thickness):
        return sum(((r - reflectivity(q, thickness)) / error) ** 2 for q, r, error in assembly.points)

    best = min(assembly.thicknesses, key=chisq)
    report.metric("chisq", chisq(best) / len(assembly.points))
    return {"thickness": best, "version": __version__, "file": __file__}
'''

THICKNESS, MONITOR = 123.5, 1e9
LOGIN = "pkienzle:beamline-4b"


class Handler(SimpleHTTPRequestHandler):
    """Gives the files of a directory to those who may have them."""

    sent: list[str]

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != f"Basic {base64.b64encode(LOGIN.encode()).decode()}":
            self.send_error(401)
            return
        self.sent.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None: ...


class Desk:
    """The directory of somebody who uses two sites, one of which publishes what is made there."""

    def __init__(self, folder: Path, server: str, sent: list[str]) -> None:
        self.folder = folder
        self.sent = sent
        self._server = server
        self._ticks: Counter[str] = Counter()

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, function: Any, *arguments: str, login: str = LOGIN, **more: Any) -> Any:
        """Run the script."""
        place = str(self.folder / "packages")
        variables = {"PYTHONPATH": place, "PYTHONDONTWRITEBYTECODE": "1", "DASKFLOW_CREDENTIALS_SNS": login}
        server = f"server={self._server}"
        return function(self.folder, *arguments, "study.py:study", "--set", server, **more, **variables)

    def performed(self) -> dict[str, int]:
        """How often each task was performed since this was asked the last time."""
        ticks = Counter((self.folder / "ticks").read_text().split())
        new, self._ticks = ticks - self._ticks, ticks
        return dict(new)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    sent: list[str] = []
    (tmp_path / "shared").mkdir()
    handler = type("Handler", (Handler,), {"sent": sent})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(tmp_path / "shared"))) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        made = Desk(tmp_path, f"http://127.0.0.1:{server.server_port}", sent)
        made.write("daskflow.yaml", CONFIGURATION)
        made.write("study.py", STUDY)
        made.write("packages/mymodel/__init__.py", MODEL)
        made.write("snsdata/bigfile.nxs", measured())
        yield made
        server.shutdown()


def measured() -> str:
    """Momentum transfer [1/Angstrom], counts and monitor of a film of a known thickness."""
    points = [0.01 + 0.002 * index for index in range(90)]
    counts = [MONITOR * (1.36 + 1.2 * cos(q * THICKNESS)) / (1e4 * q**4) for q in points]
    return "\n".join(f"{q} {count} {MONITOR}" for q, count in zip(points, counts, strict=True))


def test_reduce_fetch_install_and_fit_at_two_sites(desk: Desk) -> None:
    said = desk.run(daskflow, "run", login="pkienzle:wrong", code=1)
    assert "does not accept these credentials" in said
    assert "wrong" not in said
    assert "distributed" not in said, "dask does not tell how it closes two clusters"
    assert desk.performed() == {"reduce": 1, "prefit": 1}, "what does not depend on the data goes on to its end"

    done = desk.run(run)
    assert done["value"]["thickness"] == THICKNESS
    assert "/packages/mymodel-1.0-" in done["value"]["file"], "not that of the driver"
    assert desk.performed() == {"define_fit": 1, "fit": 1}, "what was done before the failure is not done again"
    assert desk.sent == ["/bigfile.refl"]

    again = desk.run(run)
    assert (again["value"], ran(again)) == (done["value"], set())
    assert desk.performed() == {}
    assert len(desk.sent) == 1

    desk.write("packages/mymodel/__init__.py", MODEL.replace('"1.0"', '"1.1"'))
    edited = desk.run(run)
    assert (edited["value"]["version"], edited["value"]["thickness"]) == ("1.1", THICKNESS)
    assert desk.performed() == {"fit": 1}, "only what tells the version"
    assert len(desk.sent) == 1

    told = daskflow(desk.folder, "show", "last", "--events", "park.*")
    assert "bigfile.refl" in told
