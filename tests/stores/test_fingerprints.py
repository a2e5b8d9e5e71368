from __future__ import annotations

import json

from daskflow.stores import Journal


def test_a_fingerprint_is_known_by_its_parts(journal: Journal) -> None:
    parts = {"function fit": "d1", "distribution numpy": "2.1.0"}
    journal.add_fingerprints([("f1", "fit", json.dumps(parts))])
    journal.add_fingerprints([("f1", "fit", "{}")])
    assert journal.fingerprint("f1") == parts
    assert journal.fingerprint("f2") == {}


def test_a_digest_holds_while_the_file_looks_the_same(journal: Journal) -> None:
    journal.add_file_digest("/data/a", 1, 100, 10**18, "d1")
    assert journal.file_digest("/data/a", 1, 100, 10**18) == "d1"
    for look in [(2, 100, 10**18), (1, 101, 10**18), (1, 100, 10**18 + 1)]:
        assert journal.file_digest("/data/a", *look) is None
    journal.add_file_digest("/data/a", 1, 101, 10**18, "d2")
    assert journal.file_digest("/data/a", 1, 100, 10**18) is None
    assert journal.file_digest("/data/a", 1, 101, 10**18) == "d2"


def test_many_files_at_once(journal: Journal) -> None:
    journal.add_file_digests([(f"/data/{number}", number, 1, 1, f"d{number}") for number in range(100)])
    looks = [(f"/data/{number}", number, 1, 1 if number % 2 else 2) for number in range(200)]
    assert journal.file_digests(looks) == {f"/data/{number}": f"d{number}" for number in range(1, 100, 2)}


def test_inodes_have_64_bits(journal: Journal) -> None:
    journal.add_file_digest("/data/a", 2**64 - 1, 1, 1, "d1")
    assert journal.file_digest("/data/a", 2**64 - 1, 1, 1) == "d1"
    assert journal.file_digest("/data/a", 2**63 - 1, 1, 1) is None


def test_paths_need_not_be_utf8(journal: Journal) -> None:
    journal.add_file_digest("/data/\udcff", 1, 1, 1, "d1")
    journal.add_file_digest("/data/é", 1, 1, 1, "d2")
    assert journal.file_digests([("/data/\udcff", 1, 1, 1), ("/data/é", 1, 1, 1)]) == {
        "/data/\udcff": "d1",
        "/data/é": "d2",
    }
