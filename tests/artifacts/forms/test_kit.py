from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daskflow.artifacts.forms.formats import register_format, registered, unregister_format
from daskflow.artifacts.forms.kit import Kit
from daskflow.artifacts.forms.signing import Signer


class Plain:
    name = "plain"

    def matches(self, value: Any) -> bool:
        return False

    def dump(self, value: Any) -> list[Any] | None:
        return None

    def load(self, data: memoryview) -> Any:
        return data


@pytest.fixture
def form() -> Iterator[Plain]:
    yield register_format(Plain())
    unregister_format("plain")


def test_within_one_process_nothing_changes(form: Plain) -> None:
    before = registered()
    kit = pickle.loads(pickle.dumps(Kit(Signer.of(bytes(32)))))
    assert kit.signer.key == bytes(32)
    assert all(one is other for one, other in zip(registered(), before, strict=True))


def test_what_was_forgotten_is_there_again(form: Plain) -> None:
    packed = pickle.dumps(Kit(Signer.of(bytes(32))))
    unregister_format("plain")
    pickle.loads(packed)
    assert form in registered()


SCRIPT = """
import pickle, sys
from daskflow.artifacts.forms.formats import register_format
from daskflow.artifacts.values import Values

class Point:
    def __init__(self, x):
        self.x = x

class Points:
    name = "point"
    def matches(self, value):
        return type(value).__name__ == "Point"
    def dump(self, value):
        return [str(value.x).encode()]
    def load(self, data):
        return Point(int(bytes(data)))

register_format(Points())
values = Values(None, key=b"k" * 32)
sys.stdout.buffer.write(pickle.dumps((values.kit(), values, values.dump(Point(3)), values.dump([4]))))
"""


def test_a_format_of_a_script_and_the_key_reach_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True).stdout
    reading = """
import pickle, sys
kit, values, point, plain = pickle.loads(sys.stdin.buffer.read())
assert point.format == "__main__:point"
print(values.load(point).x, values.load(plain), values.dump(values.load(point)).format)
"""
    # A worker at another home, with another key.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", reading], input=made, check=True, capture_output=True)
    assert done.stdout.decode() == "3 [4] __main__:point\n"
    assert not list(tmp_path.iterdir()), "the worker needs no key of its own"


def test_a_format_that_cannot_be_had_hinders_nobody(
    form: Plain, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = pickle.dumps(Kit(Signer.of(bytes(32))))
    broken = packed.replace(b"test_kit", b"test_nix")
    assert broken != packed
    assert pickle.loads(broken).signer.key == bytes(32)
    assert "A format of the driver cannot be had here: ModuleNotFoundError" in caplog.text
