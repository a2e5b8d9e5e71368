"""The journal's chapter of digests: what fingerprints are made of, and the digests of files."""

from __future__ import annotations

import json
from collections.abc import Iterable

from daskflow.stores.chapter import Chapter
from daskflow.stores.dialect import Row, printable
from daskflow.stores.patience import reading, writing


class Fingerprints(Chapter):
    """The parts of each task's fingerprint, so that a change can be named."""

    @writing
    def add_fingerprints(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Record `(id, task, parts)`, where `parts` is a JSON object; a known id stays as it is."""
        self.database.many("add_fingerprints", rows)

    @reading
    def fingerprint(self, id: str) -> dict[str, str]:
        """The parts of a fingerprint by name; empty for an unknown one."""
        rows = self.database.rows("fingerprint", id=id)
        return dict(json.loads(rows[0][0])) if rows else {}


class FileDigests(Chapter):
    """The digests of files, valid as long as path, inode, size and time of change are the same."""

    def file_digest(self, path: str, inode: int, size: int, mtime_ns: int) -> str | None:
        """The digest of a file that looks like this; None if it is not known."""
        return self.file_digests([(path, inode, size, mtime_ns)]).get(path)

    @reading
    def file_digests(self, files: Iterable[tuple[str, int, int, int]]) -> dict[str, str]:
        """The known digests of `(path, inode, size, mtime_ns)` by path, in one query."""
        wanted = {printable(path): (path, _signed(inode), size, time) for path, inode, size, time in files}
        rows = self.database.rows("file_digests", paths=list(wanted))
        return {wanted[path][0]: digest for path, *look, digest in rows if wanted[path][1:] == tuple(look)}

    def add_file_digest(self, path: str, inode: int, size: int, mtime_ns: int, digest: str) -> None:
        """Record the digest of a file in place of an earlier one."""
        self.add_file_digests([(path, inode, size, mtime_ns, digest)])

    @writing
    def add_file_digests(self, rows: Iterable[Row]) -> None:
        """Record `(path, inode, size, mtime_ns, digest)` of several files."""
        self.database.many("add_file_digests", [(row[0], _signed(row[1]), *row[2:]) for row in rows])


def _signed(inode: int) -> int:
    """An inode as a signed number: network filesystems use all 64 bits, databases have 63 and a sign."""
    return inode - 2**64 if inode >= 2**63 else inode
