from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import pathlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator

import pytest

from daskflow.errors import NoKey
from daskflow.graph.distributions import DASKFLOW, STDLIB, USER, owner_of, owner_of_class, project_of
from tests.graph.projects import Project

PACKAGE = {
    "quartz/__init__.py": "def shine(x):\n    return x + 1\n",
}

FLOWS = {
    "flows.py": """
        import quartz
        def f(x):
            return quartz.shine(x)
        def g(x):
            return x
    """
}

SHOW = """
import json
import flows
from daskflow.graph.fingerprint import fingerprint
print(json.dumps([fingerprint(flows.f).id, fingerprint(flows.g).id, fingerprint(flows.f).parts]))
"""


@pytest.fixture
def project(tmp_path: pathlib.Path) -> Iterator[Project]:
    made = Project(tmp_path / "project").write(FLOWS)
    yield made
    made.forget()


def install(site: pathlib.Path, name: str, version: str, files: dict[str, str], **more: str) -> None:
    """Lay out a distribution as installers do."""
    Project(site).write(files)
    information = site / f"{name.replace('-', '_')}-{version}.dist-info"
    for old in site.glob(f"{name.replace('-', '_')}-*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (information / "RECORD").write_text("".join(f"{file},sha256={hash(text)},9\n" for file, text in files.items()))
    for name_of_file, text in more.items():
        (information / f"{name_of_file}.json").write_text(text)


def seen(project: Project, *paths: pathlib.Path) -> tuple[str, str, dict[str, str]]:
    f, g, parts = json.loads(project.run("-c", SHOW, PYTHONPATH=path_of(project.directory, *paths)))
    return f, g, parts


def path_of(*paths: pathlib.Path) -> str:
    return ":".join([*map(str, paths), *[path for path in sys.path if path]])


def test_a_new_version_changes_the_key_of_what_uses_it_and_of_nothing_else(
    project: Project, tmp_path: pathlib.Path
) -> None:
    site = tmp_path / "site-packages"
    files = {"quartz/__init__.py": "def shine(x):\n    return x + 1\n"}
    install(site, "quartz-tools", "1.0", files)
    first = seen(project, site)
    assert first[2]["quartz-tools"] == "1.0"
    assert not any(name.startswith("quartz.") for name in first[2]), "the code of libraries is not looked into"
    install(site, "quartz-tools", "1.1", files)
    second = seen(project, site)
    assert second[2]["quartz-tools"] == "1.1"
    assert (second[0] == first[0], second[1] == first[1]) == (False, True)
    install(site, "quartz-tools", "1.0", files)
    assert seen(project, site) == first


def wheel(directory: pathlib.Path, version: str, body: str) -> pathlib.Path:
    """Build a wheel as build tools do."""
    directory.mkdir(exist_ok=True)
    made = directory / f"quartz_tools-{version}-py3-none-any.whl"
    information = f"quartz_tools-{version}.dist-info"
    files = {
        "quartz/__init__.py": f"def shine(x):\n    {body}\n",
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: quartz-tools\nVersion: {version}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {name: hashlib.sha256(text.encode()).digest() for name, text in files.items()}
    lines = [
        f"{name},sha256={base64.urlsafe_b64encode(found).decode().rstrip('=')},9" for name, found in digests.items()
    ]
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in {**files, f"{information}/RECORD": "\n".join(lines)}.items():
            archive.writestr(name, text)
    return made


def test_what_pip_installs(project: Project, tmp_path: pathlib.Path) -> None:
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--upgrade", "--target", str(site)]

    def installed(version: str, body: str) -> tuple[str, str, dict[str, str]]:
        made = wheel(tmp_path / "wheels", version, body)
        subprocess.run([*pip, str(made)], check=True, capture_output=True, timeout=120)
        return seen(project, site)

    first = installed("1.0", "return x + 1")
    assert first[2]["quartz-tools"].startswith("1.0 (")
    assert installed("1.0", "return x + 1") == first
    # A file that one has at hand may be built again under the same version, other than those of an index.
    for version, body in (("1.0", "return x - 1"), ("1.1", "return x + 1")):
        second = installed(version, body)
        assert (second[0] == first[0], second[1] == first[1]) == (False, True)


def test_an_editable_install_is_the_users_code(project: Project, tmp_path: pathlib.Path) -> None:
    source = tmp_path / "source"
    Project(source).write(PACKAGE)
    site = tmp_path / "site-packages"
    install(site, "quartz-tools", "1.0", {}, direct_url='{"url": "file:///x", "dir_info": {"editable": true}}')
    first = seen(project, site, source)
    assert "quartz.shine" in first[2]
    assert "quartz-tools" not in first[2]
    Project(source).write({"quartz/__init__.py": "def shine(x):\n    return x - 1\n"})
    assert seen(project, site, source)[0] != first[0]


def test_a_source_checkout_with_its_egg_info_is_the_users_code(project: Project, tmp_path: pathlib.Path) -> None:
    source = tmp_path / "source"
    Project(source).write({**PACKAGE, "quartz_tools.egg-info/PKG-INFO": "Name: quartz-tools\nVersion: 1.0\n"})
    assert "quartz.shine" in seen(project, source)[2]


def test_egg_info_among_installed_packages_is_an_install(project: Project, tmp_path: pathlib.Path) -> None:
    # This is how Debian installs.
    site = tmp_path / "dist-packages"
    Project(site).write(
        {
            "quartz_tools-1.0.egg-info/PKG-INFO": "Metadata-Version: 2.1\nName: quartz-tools\nVersion: 1.0\n",
            "quartz_tools-1.0.egg-info/top_level.txt": "quartz\n",
            "quartz/__init__.py": PACKAGE["quartz/__init__.py"],
        }
    )
    assert seen(project, site)[2]["quartz-tools"] == "1.0"


def test_the_distribution_that_holds_a_package_counts_and_not_one_of_its_name(
    project: Project, tmp_path: pathlib.Path
) -> None:
    site = tmp_path / "site-packages"
    install(site, "quartz", "9.9", {"amethyst.py": ""})
    install(site, "quartz-tools", "1.0", {"quartz/__init__.py": PACKAGE["quartz/__init__.py"]})
    parts = seen(project, site)[2]
    assert (parts.get("quartz"), parts["quartz-tools"]) == (None, "1.0")


def test_parts_of_a_namespace_package_belong_to_their_own_distributions(
    project: Project, tmp_path: pathlib.Path
) -> None:
    site = tmp_path / "site-packages"
    install(site, "mine-a", "1.0", {"quartz/a/__init__.py": "def shine(x):\n    return x\n"})
    install(site, "mine-b", "2.0", {"quartz/b.py": "def shine(x):\n    return x\n"})
    project.write(
        {
            "flows.py": """
                import quartz.a, quartz.b
                from quartz.a import shine
                def f(x):
                    return shine(x)
                def g(x):
                    from quartz.b import shine
                    return shine(x)
                if __name__ == "__main__":
                    from daskflow.graph.fingerprint import fingerprint
                    print(fingerprint(f).parts, fingerprint(g).parts)
            """
        }
    )
    shown = project.run("flows.py", PYTHONPATH=path_of(project.directory, site))
    f, g = shown.split("} {")
    assert ("mine-a" in f, "mine-b" in f, "mine-a" in g, "mine-b" in g) == (True, False, False, True)


def test_a_package_without_a_version_among_installed_ones_is_an_error(project: Project, tmp_path: pathlib.Path) -> None:
    site = tmp_path / "site-packages"
    Project(site).write({"quartz/__init__.py": PACKAGE["quartz/__init__.py"]})
    project.write({"flows.py": FLOWS["flows.py"]})
    sys.path.insert(0, str(site))
    try:
        with pytest.raises(NoKey, match=r"'quartz' in .*belongs to no installed distribution.*Install it with pip"):
            project.fingerprint()
    finally:
        sys.path.remove(str(site))
        sys.modules.pop("quartz", None)


def test_who_owns_what() -> None:
    assert owner_of("json.decoder") == owner_of("sys") == owner_of("_thread") == owner_of("os.path") == STDLIB
    assert owner_of("daskflow.graph.task") == DASKFLOW
    assert owner_of("daskflow.examples.imaging") == USER
    assert owner_of("__main__") == owner_of(None) == owner_of("") == owner_of("not_there_at_all") == USER
    numpy = owner_of("numpy.linalg")
    assert (numpy.kind, numpy.name, numpy.version) == ("distribution", "numpy", importlib.metadata.version("numpy"))
    assert owner_of("yaml").name == "PyYAML"
    assert owner_of(__name__) == USER


def test_owners_are_known_before_the_import(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A function that imports late has a fingerprint, without that anything heavy is imported.
    site = tmp_path / "site-packages"
    install(site, "late-tools", "3.0", {"late_quartz/__init__.py": "raise RuntimeError('imported')\n"})
    monkeypatch.syspath_prepend(str(site))
    assert owner_of("late_quartz.deep")[1:] == ("late-tools", "3.0")


def test_classes_made_without_a_module_are_the_users() -> None:
    space: dict[str, type] = {}
    exec("class C: pass", space)
    assert owner_of_class(space["C"]) == USER
    assert owner_of_class(int) == owner_of_class(type(None)) == STDLIB
    assert owner_of_class(type(owner_of)) == STDLIB


def test_the_top_of_a_project(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path / "top")
    project.write({"pyproject.toml": "", "src/pack/__init__.py": "", "src/pack/deep.py": "x = 1\n"})
    monkeypatch.syspath_prepend(str(tmp_path / "top" / "src"))
    assert project_of("pack.deep") == str(tmp_path / "top")
    monkeypatch.chdir(tmp_path)
    assert project_of("not_there_at_all") == str(tmp_path)
