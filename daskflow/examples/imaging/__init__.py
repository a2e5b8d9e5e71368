"""From the raw visibilities of a calibrator to its self-calibrated image: the flow `pipeline`."""

from daskflow.examples.imaging.pipeline import pipeline as pipeline
