"""`python -m daskflow` is the command line."""

from daskflow.views.cli import main

main()
