"""A LAMMPS study in which each answer decides how long the next simulation is: the flow `study`."""

from daskflow.examples.melt.study import study as study
