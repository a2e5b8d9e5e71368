from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blake3
import pytest

from daskflow.artifacts.cache import NodeCache
from daskflow.artifacts.forms.signing import Signer
from daskflow.artifacts.holdings import holding
from daskflow.artifacts.store import ObjectStore
from daskflow.artifacts.values import Values
from daskflow.errors import ArgumentsInvalid, JobFailed
from daskflow.execution.supply.install import Install, Installed
from daskflow.execution.supply.shipping import Shipment
from daskflow.graph.encoding import Encoder
from daskflow.settings.options import SiteSettings
from daskflow.settings.parts import make_site
from daskflow.sites import ClusterSite
from tests.conftest import Lab
from tests.execution.models import Model, written_in_a_moment
from tests.services.s3 import S3


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    written_in_a_moment(monkeypatch)
    made = Model(tmp_path / "project")
    yield made
    made.forget()


def run(lab: Lab, module: Any, **given: Any) -> tuple[Installed, dict[str, Any]]:
    """Install a module at the site of processes, then have it simulate there."""
    install = Install(lab.launcher)

    @lab.flow(site="local")
    def study() -> Any:
        upload = install(module, **given)
        return [upload, module.simulate(1, when=upload.succeeded)]

    upload, found = study()
    return upload, found


def test_workers_import_what_was_installed_and_the_new_state_after_an_edit(lab: Lab, model: Model) -> None:
    folder = str(lab.settings.artifacts)
    upload, found = run(lab, model.write(1))
    assert (upload.name, upload.version, upload.site) == (model.name, "1.0", "local")
    assert found["value"] == 2
    assert found["file"].startswith(f"{folder}/packages/{model.name}-1.0-")
    again, found = run(lab, model.write(10, "1.1"))
    assert (again.version, found["value"], found["version"]) == ("1.1", 11, "1.1")
    assert again.digest != upload.digest
    assert found["file"].startswith(f"{folder}/packages/{model.name}-1.1-")
    third, _ = run(lab, model.write(1))
    assert third == upload

    @lab.flow(site="local")
    def more() -> Any:
        Install(lab.launcher)(model.write(1))
        return __import__(model.name).simulate(5)

    assert more()["value"] == 6, "the job of `install` was remembered, and the workers have the earlier state again"


def test_a_remembered_install_starts_no_cluster_but_holds_for_the_next_one(lab: Lab, model: Model) -> None:
    module = model.write(1)
    upload, _ = run(lab, module)
    lab = lab.again()
    site = make_site("local", SiteSettings(workers=1), str(lab.settings.logs / "boxes"))
    assert isinstance(site, ClusterSite)
    lab.project._sites["local"] = site
    try:
        assert run(lab, module)[0] == upload
        assert site.address() == ""
        assert site._client is None

        @lab.flow(site="local")
        def more() -> Any:
            Install(lab.launcher)(module)
            return module.simulate(2)

        assert more()["file"].startswith(upload.folder)
        client = site.open()
        client.restart(wait_for_workers=True)

        @lab.flow(site="local")
        def late() -> Any:
            return module.simulate(3)

        assert late()["file"].startswith(upload.folder), "workers that join later import it too"
    finally:
        site.close()
    lab.close()


def test_what_was_built_and_is_gone_is_built_again(lab: Lab, model: Model) -> None:
    module = model.write(1)
    upload, _ = run(lab, module)
    shutil.rmtree(upload.folder)
    assert run(lab.again(), module)[0] == upload
    assert Path(upload.folder).is_dir()


@pytest.mark.parametrize("site", ["synchronous", "threads"])
def test_in_the_process_of_the_driver_nothing_changes(lab: Lab, model: Model, site: str) -> None:
    module = model.write(1)
    upload = Install(lab.launcher)(module, site=site)
    assert upload.result(60) == Installed(model.name, "1.0", upload.result(60).digest, site)
    assert module.simulate.function(1)["file"] == module.__file__
    assert not any(path.is_dir() for path in (Path(lab.settings.artifacts) / "packages").iterdir())


def test_a_build_that_fails_says_why(lab: Lab, model: Model) -> None:
    module = model.write(1)
    model.project("1.0", "no_such_backend")
    (model.folder / "fast.c").write_text("int main() {}")
    upload = Install(lab.launcher)(module, site="local")
    with pytest.raises(JobFailed, match=r"(?s)InstallFailed.*cannot be built here.*no_such_backend"):
        upload.result(120)


@pytest.fixture
def closed(lab: Lab) -> Iterator[Lab]:
    """A laboratory to whose site nothing may be brought."""
    site: Any = lab.project.site("local")
    site.packages.shipping = False
    yield lab
    site.packages.shipping = True


def test_where_shipping_is_forbidden_the_versions_on_offer_are_told(closed: Lab, model: Model) -> None:
    with pytest.raises(JobFailed, match=r"takes no packages \(shipping: false\)\. On offer there: none\. Have 1\.0"):
        Install(closed.launcher)(model.write(1), site="local").result(60)


def test_what_was_brought_before_it_was_forbidden_is_no_answer(closed: Lab, model: Model) -> None:
    site: Any = closed.project.site("local")
    keys = set()
    for site.packages.shipping in (True, False):
        keys.add(Install(closed.launcher)(model.write(1), site="local").key)
    assert len(keys) == 2


def test_where_shipping_is_forbidden_an_equal_version_is_used(closed: Lab, model: Model) -> None:
    folder = model.folder / "blake3"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    install = Install(closed.launcher)
    upload = install(folder, site="local")
    assert upload.result(60) == Installed("blake3", blake3.__version__, upload.result(60).digest, "local")
    (folder / "pyproject.toml").write_text('[project]\nname = "blake3"\nversion = "0.0.1"\n')
    with pytest.raises(JobFailed, match=rf"blake3 0\.0\.1 is wanted.*On offer there: {blake3.__version__}\. Use that"):
        install(folder, site="local").result(60)


def test_code_that_was_edited_and_not_brought_again_names_both_versions(lab: Lab, model: Model) -> None:
    run(lab, model.write(1, "1.0"))
    newer = model.write(2, "1.1")

    @lab.flow(site="local")
    def study() -> Any:
        return newer.simulate(1).result(60, raise_on_failure=False)

    error = str(study())
    assert "CodeMismatch" in error
    assert f"these differ: {model.name}.step" in error
    assert f"It belongs to {model.name} 1.0 here, to {model.name} 1.1 in the driver" in error


def test_another_version_than_the_wanted_one(lab: Lab, model: Model) -> None:
    with pytest.raises(ArgumentsInvalid, match=r"version='2\.0'\): the local package has the version 1\.0"):
        Install(lab.launcher)(model.write(1), site="local", version="2.0")


@pytest.fixture
def cloud(lab: Lab, s3: S3, prefix: str, tmp_path: Path) -> ObjectStore:
    """The laboratory keeps its artifacts in a bucket."""
    store = ObjectStore(s3.url(prefix), s3.options, NodeCache(tmp_path / "cache"))
    lab.project.values = Values(store)
    return store


def test_through_a_bucket_each_node_unpacks_its_own(lab: Lab, cloud: ObjectStore, model: Model, tmp_path: Path) -> None:
    module = model.write(1)
    upload, found = run(lab, module)
    assert (upload.folder, len(upload.built), found["value"]) == ("", 32, 2)
    assert found["file"].startswith(f"{cloud.folder('packages')}/{model.name}-1.0-")
    assert run(lab, module)[0] == upload
    again, found = run(lab, model.write(10, "1.1"))
    assert (again.version, found["value"], found["version"]) == ("1.1", 11, "1.1")
    site: Any = lab.project.site("local")
    package = site.packages._offered[model.name]
    assert package.ready, "a cluster that is opened later gets it at once"
    elsewhere = ObjectStore(cloud.url, cloud.options, NodeCache(tmp_path / "elsewhere"))
    shipment = Shipment(elsewhere, Signer.own(), package.shipment.name, "local")
    there = package._replace(shipment=shipment).at_hand()
    assert Path(there.path).is_relative_to(tmp_path / "elsewhere")
    assert (Path(there.path) / f"{model.name}.py").is_file()


def test_what_is_gone_from_a_bucket_is_built_again(lab: Lab, cloud: ObjectStore, model: Model) -> None:
    module = model.write(1)
    upload, _ = run(lab, module)
    cloud.remove(upload.built)
    assert run(lab, module)[0].digest == upload.digest
    assert cloud.exists(run(lab, module)[0].built)


def test_a_built_package_is_held() -> None:
    with holding() as held:
        pickle.dumps([Installed("a", "1", "d", "s", "/x"), Installed("a", "1", "d", "s", "", "b" * 32)])
    assert held == {"b" * 32}


def test_how_it_stands_in_keys() -> None:
    encoder = Encoder(str, str)
    assert encoder.encode(Installed("a", "1", "d", "s", "/x")) == encoder.encode(Installed("a", "1", "d", "t", "/y"))
    assert encoder.encode(Installed("a", "1", "d", "s")) != encoder.encode(Installed("a", "1", "e", "s"))
