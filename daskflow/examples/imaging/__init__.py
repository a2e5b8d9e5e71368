"""From raw visibilities to a self-calibrated image, or to the line of a simulated target: the flow `pipeline`."""

from daskflow.examples.imaging.pipeline import pipeline as pipeline
