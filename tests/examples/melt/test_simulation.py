from __future__ import annotations

import re

import pytest

from daskflow import CommandJob
from daskflow.examples.melt.simulation import EVERY, simulate
from daskflow.examples.melt.thermo import read_table
from tests.services.programs import needs


@needs("lmp")
@pytest.mark.usefixtures("place")
def test_lammps_takes_the_input_and_the_table_is_all_that_is_printed() -> None:
    job: CommandJob = simulate(200, cells=4, temperature=2.5)
    table = read_table(job.stdout())
    assert table["step"].values.tolist() == list(range(0, 201, EVERY))
    assert float(table["temperature"][0]) == 2.5
    assert sorted(job.files()) == ["dump.atoms", "log.lammps"]
    log = str(job.get_output_file("log.lammps", text=True))
    assert "run             200\n" in log
    assert "Created 256 atoms" in log


def test_each_parameter_stands_in_the_input() -> None:
    job = simulate(200)
    (file,) = job.input_files
    assert set(re.findall(r"(?<!\$)\{(\w+)\}", file.content)) == set(job.parameters)
