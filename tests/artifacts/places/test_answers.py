"""What stores answer, told so that one knows what to do. `test_cloud.py` gets such answers from a real server."""

from __future__ import annotations

import pytest

from daskflow.artifacts.places.answers import broke_off, bucket_missing, complaint
from daskflow.errors import AccessRefused, ArtifactError, StoreSilent

URL = "s3://bucket/prefix"


def answer(status: str, code: str = "") -> Exception:
    body = f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Secret>hidden</Secret></Error>' if code else ""
    return RuntimeError(
        f"Generic S3 error: Error performing PUT http://127.0.0.1/bucket/x in 1ms, after 3 retries - "
        f"Server returned non-2xx status code: {status}: {body}\n\nDebug source: hidden"
    )


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (answer("404 Not Found", "NoSuchBucket"), AccessRefused, "bucket 'bucket' of .* does not exist"),
        (answer("403 Forbidden", "InvalidAccessKeyId"), AccessRefused, "does not know this access key"),
        (answer("403 Forbidden", "SignatureDoesNotMatch"), AccessRefused, "secret key is not the one"),
        (answer("400 Bad Request", "ExpiredToken"), AccessRefused, "have expired: get new ones"),
        (answer("403 Forbidden"), AccessRefused, "403"),
        (answer("401 Unauthorized"), AccessRefused, "AWS_ACCESS_KEY_ID"),
        (answer("503 Slow Down"), StoreSilent, "503 Slow Down"),
        (answer("500 Internal Server Error", "InternalError"), StoreSilent, "InternalError"),
        (answer("429 Too Many Requests"), StoreSilent, "Look whether it is up"),
        (answer("507 Insufficient Storage"), ArtifactError, "No room is left"),
        (answer("400 Bad Request", "KeyTooLongError"), ArtifactError, "cannot do what was asked: 400 Bad Request"),
        (
            RuntimeError("Generic S3 error: Error performing GET http://169.254.169.254/x in 1s - HTTP error: error"),
            AccessRefused,
            "There are no credentials",
        ),
        (
            RuntimeError('... in 1s, after 9 retries - HTTP error: error sending request\n message: "refused",'),
            StoreSilent,
            r"\(refused\)",
        ),
        (RuntimeError(""), ArtifactError, "no reason given"),
    ],
)
def test_complaints(error: Exception, kind: type[ArtifactError], says: str) -> None:
    found = complaint(error, URL)
    assert type(found) is kind
    with pytest.raises(kind, match=says):
        raise found
    assert "hidden" not in str(found)
    assert "\n" not in str(found)


def test_broken_connection_is_told_from_one_that_was_tried_again() -> None:
    assert broke_off(
        RuntimeError("Generic S3 error: Error performing PUT x in 3ms - HTTP error: error sending request")
    )
    assert not broke_off(
        RuntimeError("... in 90s, after 9 retries, max_retries: 30 - HTTP error: error sending request")
    )
    assert not broke_off(answer("503 Slow Down"))


def test_missing_bucket_is_told_from_missing_key() -> None:
    assert bucket_missing(answer("404 Not Found", "NoSuchBucket"))
    assert not bucket_missing(answer("404 Not Found", "NoSuchKey"))
