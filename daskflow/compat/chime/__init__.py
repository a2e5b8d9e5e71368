"""The interface of CHIME/FRB Workflow on the buckets and sites of daskflow: change an import, and go on."""

from daskflow.compat.chime.buckets import Buckets as Buckets
from daskflow.compat.chime.context import HTTPContext as HTTPContext
from daskflow.compat.chime.results import Results as Results
from daskflow.compat.chime.swarm import Swarm as Swarm
from daskflow.compat.chime.work import Work as Work
