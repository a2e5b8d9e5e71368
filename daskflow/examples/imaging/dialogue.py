"""Cleaning in cycles that a person may guide, and stages whose quality a person may judge."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field

from daskflow import ask, current, task
from daskflow.examples.imaging.qa import LOW

CYCLES = 10
"""Most cycles."""


class CleanOptions(BaseModel):
    """How the next cycle of cleaning is to go."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    niter: int = Field(default=200, ge=1)
    """Largest number of components of the cycle, in each image or channel."""
    threshold: float = Field(ge=0)
    """Absolute peak at which to stop [Jy per beam]."""
    stop: bool = False
    """Take the image as it is."""
    interactive: bool = True
    """Ask again after the cycle; False goes on with these values to the end."""


class StoppedByPerson(RuntimeError):
    """A person stopped the pipeline at a stage whose quality was low. Mend its cause, and run it again."""

    transient = False


@task
def progress(image: xr.Dataset) -> dict[str, float]:
    """Tell how far cleaning has come: ``peak`` of the residual [Jy per beam] and number of ``components``."""
    found = {
        "peak": float(np.abs(image["residual"].values).max()),
        "components": float(image.attrs["components"]),
    }
    current().emit("clean.cycle", **found)
    return found


def guide(image: Any, options: CleanOptions, cycle: Callable[[Any, CleanOptions], Any], *, name: str) -> Any:
    """Clean in cycles until the residual is below the threshold, or a person says that it is enough.

    Parameters
    ----------
    image
        A job that makes an image or a cube with ``residual``.
    options
        Those of the first cycle; whether to ask is one of them.
    cycle
        Makes the job of the next cycle.
    name
        What is cleaned, for the question.

    Returns
    -------
    Job
        The image after the last cycle.
    """
    for number in range(1, CYCLES + 1):
        found = progress(image).result()
        if options.interactive:
            options = ask(_prompt(name, number, found), schema=CleanOptions, default=options)
        if options.stop or found["peak"] <= options.threshold:
            break
        image = cycle(image, options)
    return image


def _prompt(name: str, number: int, found: Mapping[str, float]) -> str:
    return (
        f"Cycle {number} of {name}: {found['components']:.0f} components so far, the residual's peak is "
        f"{found['peak']:.4f} Jy/beam. How shall cleaning go on?"
    )


def gate(stage: Mapping[str, Any], *, interactive: bool) -> None:
    """Ask a person whether to go on after a stage of low quality.

    Without a person nobody is asked, and nothing waits: the event that `judge` emits tells of it.

    Raises
    ------
    StoppedByPerson
        Someone said so.
    """
    if not interactive:
        return
    score = stage["score"].result()
    if score.value >= LOW:
        return
    question = f"The quality of {score.stage} is only {score.value:.2f} ({score.meaning}). Go on all the same?"
    if ask(question, schema=Literal["go on", "stop"], default="go on") == "stop":
        raise StoppedByPerson(f"{score.stage}, {score.value:.2f}: {StoppedByPerson.__doc__}")
