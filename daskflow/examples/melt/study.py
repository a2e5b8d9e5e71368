"""How long must a simulation be? Each one answers, and the next one is made as long as it says.

::

    nsteps ─► simulate (LAMMPS) ─► measure ─► good enough? ── yes ─► summarize
       ▲                                          │
       └───────────────── next_length ◄── no ─────┘
"""

import math
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from daskflow import flow, report, task
from daskflow.examples.melt import pictures
from daskflow.examples.melt.simulation import EVERY, simulate
from daskflow.examples.melt.thermo import SETTLED, Round, measure, read_table

SHORTEST = 2 * SETTLED
"""A simulation shorter than this says nothing about the liquid [steps]."""
_MARGIN = 1.1
_LARGEST_STRIDE = 8


class Study(BaseModel):
    """What the study has found, in Lennard-Jones units."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    converged: bool
    """Whether the error is as small as was asked."""
    temperature: float
    """Of the liquid [epsilon / k]."""
    pressure: float
    """Of the liquid [epsilon / sigma^3]."""
    error: float
    """Standard error of the pressure [epsilon / sigma^3]."""
    rounds: list[Round]
    """All simulations, the shortest first."""


def next_length(found: Round, tolerance: float, longest: int) -> int:
    """The length of the next simulation: errors fall with the square root of the length.

    Parameters
    ----------
    found
        What the last simulation has found.
    tolerance
        The error that is asked for [epsilon / sigma^3].
    longest
        The largest length [steps].
    """
    liquid = (found.nsteps - SETTLED) * (found.error / tolerance) ** 2 * _MARGIN
    # An error of few independent values is itself not well known: neither creep nor jump because of it.
    wanted = min(max(SETTLED + liquid, 1.5 * found.nsteps), _LARGEST_STRIDE * found.nsteps, longest)
    return math.ceil(wanted / EVERY) * EVERY


@task
def summarize(rounds: Sequence[Round], simulation: Any, tolerance: float) -> Study:
    """Sum up, and report, what was found; `simulation` is what the last one gave."""
    last = rounds[-1]
    converged = last.error <= tolerance
    verdict = "as good as asked" if converged else f"not as good as asked, which was {tolerance:g}"
    report.markdown(
        f"The liquid has a pressure of **{last.pressure:.3f} ± {last.error:.3f} ε/σ³** at a temperature of "
        f"{last.temperature:.3f} ε/k: {verdict}. It took {last.nsteps} steps, of which about "
        f"{last.correlation:.0f} count as one measurement.",
        title="Result",
    )
    report.table([one.model_dump() for one in rounds], title="Simulations")
    table = read_table(simulation.stdout())
    report.figure(pictures.convergence(table, rounds, tolerance), title="Convergence")
    return Study(
        converged=converged, temperature=last.temperature, pressure=last.pressure, error=last.error, rounds=list(rounds)
    )


@flow
def study(
    tolerance: float = 0.01,
    *,
    nsteps: int = SHORTEST,
    longest: int = 50_000,
    cells: int = 6,
    image: str | None = None,
) -> Any:
    """Find the pressure of a liquid, by simulations that are each as long as the one before says.

    Parameters
    ----------
    tolerance
        Standard error of the pressure that is good enough [epsilon / sigma^3].
    nsteps
        Length of the first simulation [steps].
    longest
        Length of the last one, whatever its error [steps].
    cells
        Side of the box [unit cells of 4 atoms].
    image
        Container image that has `lmp`; None: that of the nodes.

    Returns
    -------
    Study
        Pressure, temperature, and all simulations.

    Raises
    ------
    ValueError
        The first simulation is too short, or the tolerance not above zero.
    """
    if nsteps < SHORTEST or not tolerance > 0:
        raise ValueError(f"nsteps has to be at least {SHORTEST}, and tolerance above zero.")
    rounds: list[Round] = []
    while True:
        simulation = simulate(nsteps, cells=cells, image=image)
        found = measure(simulation).result()
        rounds.append(found)
        if found.error <= tolerance or found.nsteps >= longest:
            return summarize(rounds, simulation, tolerance)
        nsteps = next_length(found, tolerance, longest)


if __name__ == "__main__":
    study()
