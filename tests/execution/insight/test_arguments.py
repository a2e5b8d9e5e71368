"""Arguments of runs are signed together with their flow."""

import pytest

from daskflow.artifacts.forms.signing import Signer
from daskflow.errors import SignatureWrong
from daskflow.execution.insight.arguments import opened_arguments, signed_arguments

OURS, THEIRS = Signer.of(b"o" * 32), Signer.of(b"t" * 32)


def test_they_come_back_to_whoever_wrote_them() -> None:
    assert opened_arguments(signed_arguments(b"pickled", "a.py:f", OURS), "a.py:f", OURS, "run") == b"pickled"


@pytest.mark.parametrize(
    ("payload", "target"),
    [
        (signed_arguments(b"pickled", "a.py:f", THEIRS), "a.py:f"),
        (signed_arguments(b"pickled", "b.py:f", OURS), "a.py:f"),
        (signed_arguments(b"pickled", "a.py:f", OURS)[:-1] + b"x", "a.py:f"),
        (b"x" + signed_arguments(b"pickled", "a.py:f", OURS), "a.py:f"),
        (b"short", "a.py:f"),
        (b"", ""),
    ],
)
def test_what_somebody_else_wrote_is_refused(payload: bytes, target: str) -> None:
    with pytest.raises(SignatureWrong, match="The run r-1 was not recorded with your signing key"):
        opened_arguments(payload, target, OURS, "r-1")
