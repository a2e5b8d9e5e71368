from __future__ import annotations

import pickle

from daskflow.execution.ear import Ear
from daskflow.settings.options import SiteSettings
from daskflow.settings.parts import make_site
from daskflow.sites import Node, Site
from daskflow.sites.site import Listener
from tests.execution.handmade import PaperSite


def test_a_node_is_small_and_plain() -> None:
    node = Node("key", b"package")
    assert node.upstream == ()
    assert pickle.loads(pickle.dumps(node)) == node


def test_all_kinds_of_sites_are_sites(tmp_path: object) -> None:
    for kind in ("processes", "threads", "synchronous"):
        site: Site = make_site("here", SiteSettings.model_validate({"kind": kind, "workers": 2}), "")
        methods = [name for name in vars(Site) if not name.startswith("_")]
        assert all(callable(getattr(site, name)) for name in methods)
        assert (site.name, site.running(), site.address()) == ("here", (), "")
        site.release(["never heard of"])
        site.close()


def test_ears_are_listeners_and_paper_is_a_site() -> None:
    assert all(callable(getattr(Ear, name)) for name in vars(Listener) if not name.startswith("_"))
    site: Site = PaperSite()
    assert site.name == "paper"
