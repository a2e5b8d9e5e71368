"""Measures simulated bursts: `python -m daskflow.examples.burst 8`."""

import sys

from daskflow.examples.burst.campaign import main

main(sys.argv[1:])
