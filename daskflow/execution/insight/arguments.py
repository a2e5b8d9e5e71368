"""The arguments of a run at rest: signed together with the flow that gets them, for loading both runs code."""

from __future__ import annotations

from daskflow.artifacts.forms.signing import SIGNATURE, Signer
from daskflow.errors import SignatureWrong

_FORMAT = "arguments"


def signed_arguments(pickled: bytes, target: str, signer: Signer) -> bytes:
    """Pickled arguments with a signature of them and of where the flow is found."""
    return pickled + signer.sign(_FORMAT, [_place(target), pickled])


def opened_arguments(payload: bytes, target: str, signer: Signer, run: str) -> bytes:
    """The pickled arguments of a run.

    Raises
    ------
    SignatureWrong
        Somebody with another key wrote them, or has the run begin another flow.
    """
    pickled = payload[:-SIGNATURE]
    if signed_arguments(pickled, target, signer) != payload:
        raise SignatureWrong(
            f"The run {run} was not recorded with your signing key {signer.id}, and going on with it could run "
            f"anybody's code: nothing of it was loaded. Call {target} anew; or let `signing_key` in the configuration "
            "name the key of those who began it, if you trust them."
        )
    return pickled


def _place(target: str) -> bytes:
    # A place holds no NUL, so that none of it can be taken for the beginning of the arguments.
    return target.encode(errors="surrogateescape") + b"\0"
