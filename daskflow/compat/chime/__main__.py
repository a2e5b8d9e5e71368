"""`python -m daskflow.compat.chime` takes the arguments of `workflow`."""

import sys

from daskflow.compat.chime.command import main

main(sys.argv[1:])
