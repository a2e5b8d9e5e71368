"""The tests mirror the rooms, module by module, and no module grows too long."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "daskflow"
TESTS = ROOT / "tests"

NO_TEST_OF_THEIR_OWN = {"__init__.py", "__main__.py"}
NO_MODULE_OF_THEIR_OWN = {"test_layout.py", "test_public_names.py"}
FOLDERS_WITHOUT_MODULES = {"acceptance", "contracts"}
MAX_LINES = 400
LISTS = {"errors.py"}
"""What is one list from top to bottom may be longer: to cut it would only make it harder to read."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def mirror(module: Path) -> Path:
    """Where the tests of a module stand: `graph/keys.py` has `graph/test_keys.py`."""
    place = module.relative_to(PACKAGE)
    return place.with_name(f"test_{place.name.lstrip('_')}")


def test_each_module_has_its_tests() -> None:
    expected = {mirror(module) for module in MODULES if module.name not in NO_TEST_OF_THEIR_OWN}
    missing = sorted(str(place) for place in expected if not (TESTS / place).is_file())
    assert not missing, "modules without tests"


def test_all_tests_have_their_module() -> None:
    known = {mirror(module) for module in MODULES}
    found = {path.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    strays = sorted(
        str(place)
        for place in found - known
        if place.parts[0] not in FOLDERS_WITHOUT_MODULES and str(place) not in NO_MODULE_OF_THEIR_OWN
    )
    assert not strays, "tests without a module"


def test_each_room_is_a_package() -> None:
    folders = {module.parent for module in MODULES}
    missing = sorted(str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file())
    assert not missing, "folders without __init__.py"


def test_no_module_is_too_long() -> None:
    lengths = {str(module.relative_to(PACKAGE)): len(module.read_text("utf-8").splitlines()) for module in MODULES}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES and name not in LISTS} == {}
