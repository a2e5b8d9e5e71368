"""The simulation: a Lennard-Jones crystal that melts, by LAMMPS, as a job of commands."""

from pathlib import Path

from daskflow import Command, CommandJob, InputFile, Resources

EVERY = 10
"""Steps between two lines of the thermodynamic table."""

MELT = """\
variable        nsteps equal {nsteps} # simulation steps

units           lj
atom_style      atomic
lattice         fcc 0.8442
region          box block 0 {cells} 0 {cells} 0 {cells}
create_box      1 box
create_atoms    1 box
mass            1 1.0
velocity        all create {temperature} 87287 loop geom

pair_style      lj/cut 2.5
pair_coeff      1 1 1.0 1.0 2.5
neighbor        0.3 bin
pair_modify     shift yes
neigh_modify    every 1 delay 0 check yes

fix             1 all nve
dump            1 all custom ${nsteps} dump.atoms id x y z
thermo_style    custom step temp pe etotal press
thermo          {every}
run             ${nsteps}
"""
"""Input of LAMMPS. `{nsteps}` is a parameter of the job, `${nsteps}` the variable of LAMMPS that is made of it."""

# The lines of the table alone: the log, which is large after long runs, stays where it is.
TABLE = Command(r"grep -E '^ *[0-9]+( +-?[0-9.]+(e[-+][0-9]+)?){4} *$' log.lammps")


def simulate(nsteps: int, *, cells: int = 6, temperature: float = 3.0, image: str | Path | None = None) -> CommandJob:
    """Melt a crystal; a job whose standard output is the thermodynamic table.

    Parameters
    ----------
    nsteps
        Length of the simulation [steps of 0.005 tau].
    cells
        Side of the box [unit cells of 4 atoms].
    temperature
        That of the crystal before it melts [epsilon / k].
    image
        Container image that has `lmp`; None: that of the node.

    Notes
    -----
    Energy and volume are constant: without the shift of the potential at its cutoff, or with neighbours that are looked
    for too rarely, the energy would creep and the liquid never be stationary. The units are those of Lennard and Jones.

    References
    ----------
    https://docs.lammps.org/pair_modify.html, https://docs.lammps.org/neigh_modify.html
    """
    return CommandJob(
        [["lmp", "-in", "melt.in", "-log", "log.lammps", "-screen", "none"], TABLE],
        input_files=[InputFile("melt.in", MELT)],
        parameters={"nsteps": nsteps, "cells": cells, "temperature": temperature, "every": EVERY},
        output_files=["log.lammps", "dump.*"],
        image=image,
        resources=Resources(cores=1),
        name="melt",
    )
