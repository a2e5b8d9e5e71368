"""What it means when an object store does not do what it was asked: errors that name the cure."""

from __future__ import annotations

import re

from daskflow.errors import AccessRefused, ArtifactError, StoreSilent

_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3}) ?([A-Za-z ]*)")
_SYSTEM = re.compile(r'message: "([^"\\]{1,200})"')
_METADATA = ("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "metadata.google.internal")
"""Where machines of a cloud ask for credentials; asked only where nobody gave any."""
_NO_BUCKET = {"NoSuchBucket", "InvalidBucketName", "ContainerNotFound"}
_NO_ENTRY = {
    "AccessDenied",
    "AuthenticationFailed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
_CURES = {
    "AccessDenied": "They may not do this: ask who keeps the bucket.",
    "ExpiredToken": "They have expired: get new ones.",
    "InvalidAccessKeyId": "The store does not know this access key.",
    "RequestTimeTooSkewed": "The clock of this machine is wrong.",
    "SignatureDoesNotMatch": "The secret key is not the one of the access key.",
}
_WHERE = "Look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or at the options of the store."


def bucket_missing(error: Exception) -> bool:
    """Whether the bucket itself, and not a key in it, is what is not there."""
    return _code(str(error)) in _NO_BUCKET


def broke_off(error: Exception) -> bool:
    """Whether the connection broke, and obstore did not try again."""
    line = str(error).partition("\n")[0]
    return "HTTP error" in line and not _status(line) and " retries" not in line


def no_bucket(url: str) -> AccessRefused:
    """The error for a bucket that is not there."""
    name = url.partition("://")[2].partition("/")[0]
    return AccessRefused(
        f"The bucket {name!r} of the artifact store {url} does not exist. Make it, or look whether the name, "
        "the endpoint and the region are right."
    )


def complaint(error: Exception, url: str) -> ArtifactError:
    """The error of ours for one of obstore; no more than one line of it is shown, and never a login."""
    text = str(error)
    code, status = _code(text), _status(text)
    if code in _NO_BUCKET:
        return no_bucket(url)
    if any(host in text for host in _METADATA):
        return AccessRefused(f"There are no credentials for the artifact store {url}. {_WHERE}")
    if code in _NO_ENTRY or status in (401, 403):
        cure = _CURES.get(code, "")
        return AccessRefused(
            f"The artifact store {url} refuses the credentials ({code or status}). {cure}{' ' if cure else ''}{_WHERE}"
        )
    if status == 507 or code in ("QuotaExceeded", "XMinioStorageFull"):
        return ArtifactError(f"No room is left in the artifact store {url}. Remove what nobody needs, or ask for more.")
    if _passing(text, status):
        return StoreSilent(
            f"The artifact store {url} does not answer ({_reason(text)}). Look whether it is up and its address right; "
            "what was stored is safe."
        )
    return ArtifactError(f"The artifact store {url} cannot do what was asked: {_reason(text)}.")


def _code(text: str) -> str:
    found = _CODE.search(text)
    return found[1] if found else ""


def _status(text: str) -> int:
    found = _STATUS.search(text)
    return int(found[1]) if found else 0


def _passing(text: str, status: int) -> bool:
    return status >= 500 or status == 429 or (not status and ("HTTP error" in text or "after " in text))


def _reason(text: str) -> str:
    found = _STATUS.search(text)
    if found:
        return " ".join(filter(None, [found[1], found[2].strip(), _code(text)]))
    system = _SYSTEM.search(text)
    line = (text.strip().splitlines() or ["no reason given"])[0]
    return system[1] if system else line.rpartition(" - ")[2][:300]
