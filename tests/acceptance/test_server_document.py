"""What the document of a server says holds, whatever is sent: schemathesis asks for all of it, with all its checks."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CHECKS
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from tests.services.servers import ServerProcess

pytestmark = pytest.mark.acceptance

SITES = "works are for sites of the configuration, and of texts only those fit that can be printed"
QUERIES = "which fields and operators a query has is a language of its own"
DIGEST = "bytes have the digest of the address, which no schema can say of them"
REASONS = {"POST /work": SITES, "PUT /work": SITES, "POST /view": QUERIES, "POST /view/count": QUERIES}
UNSAID: dict[str, dict[Any, str]] = {
    route: {checks.positive_data_acceptance: why}
    for route, why in {**REASONS, "PUT /artifacts/objects/{digest}": DIGEST}.items()
}
"""By route: checks that cannot hold, and why. What fits the schema may be refused there, all else is checked."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path) as made:
        yield made


def test_all_is_answered_as_the_document_says(server: ServerProcess) -> None:
    entry = {"Authorization": f"Bearer {server.token('admin')}"}
    every = [CHECKS.get_one(name) for name in CHECKS.get_all_names()]
    assert {checks.positive_data_acceptance, checks.negative_data_rejection, checks.ignored_auth} <= set(every)
    seen: Counter[tuple[str, int]] = Counter()

    def ask(operation: Any, mode: GenerationMode) -> None:
        unsaid = UNSAID.get(operation.label, {})
        wanted = [check for check in every if check not in unsaid]

        @settings(
            max_examples=4,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def asked(case: Any) -> None:
            if "wait" in (case.query or {}):
                case.query["wait"] = 0
            # It makes up tokens, which nobody knows.
            for name in [name for name in case.headers if name.lower() in ("authorization", "x-access-token")]:
                del case.headers[name]
            case.headers.update(entry)
            if mode is GenerationMode.POSITIVE and "X-Request-Id" in case.headers:
                # One is for one request only.
                case.headers["X-Request-Id"] = uuid.uuid4().hex
            answer = case.call(timeout=30)
            seen[operation.label, answer.status_code] += 1
            case.validate_response(answer, checks=wanted, headers=entry)

        try:
            asked()
        except Unsatisfiable:
            # Where nothing is asked for, nothing wrong can be sent.
            assert mode is GenerationMode.NEGATIVE

    for found in schemathesis.openapi.from_url(f"{server.url}/openapi.json").get_all_operations():
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            ask(found.ok(), mode)  # type: ignore[union-attr]
    assert len({label for label, _ in seen}) > 30
    assert UNSAID.keys() <= {label for label, _ in seen}
    assert {status for _, status in seen} <= {200, 202, 400, 404, 409, 422, 423}
    assert seen["GET /status", 200]
    assert "Traceback" not in server.log
