"""Where it runs: places that compute."""

from daskflow.sites.cluster import ClusterSite as ClusterSite
from daskflow.sites.site import Listener as Listener
from daskflow.sites.site import Node as Node
from daskflow.sites.site import Site as Site
from daskflow.sites.synchronous import SynchronousSite as SynchronousSite
