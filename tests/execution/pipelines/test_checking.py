"""What the parts of a pipeline say of each other."""

from __future__ import annotations

from typing import Any

import pytest

from daskflow.errors import PipelineInvalid
from daskflow.execution.pipelines.checking import warnings
from daskflow.execution.pipelines.reading import read


def document(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    given = [{"name": "alpha", "work": {"function": "math.sqrt"}}, *steps]
    return {"name": "p", "defaults": {"user": "ada", "site": "local"}, "pipeline": {"steps": given}, **more}


def beta(**fields: Any) -> dict[str, Any]:
    return {"name": "beta", "stage": 2, "work": {"function": "math.sqrt"}, **fields}


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (beta(**{"if": "sometimes"}), r"steps\.beta\.if: 'sometimes' is no condition"),
        (beta(**{"if": "${{ pipeline.gamma.status }}"}), r"steps\.beta\.if: there is no step 'gamma'.*alpha, beta"),
        (beta(**{"if": "${{ pipeline.beta.status == 'success' }}"}), r"not before beta in stage 2"),
        (beta(stage=1, **{"if": "${{ pipeline.alpha.status == 'x' }}"}), r"not before beta in stage 1.*later stage"),
        (beta(**{"if": "${{ pipeline.alpha.state }}"}), r"'pipeline\.alpha\.state' refers to nothing"),
        (beta(**{"if": "${{ env.HOME == 'x' }}"}), "refers to nothing"),
        (beta(**{"if": "${{ pipeline.alpha.status == }}"}), r"steps\.beta\.if: its end was not expected"),
        (beta(**{"if": "${{ matrix.b == 1 }}"}, matrix={"b": [1]}), r"beta\.if: the matrix has no 'b'"),
        (beta(work={"parameters": {"x": "${{ matrix.b }}"}}), r"beta\.work\.parameters\.x: the matrix has no 'b'"),
        (beta(work={"parameters": {"x": "${{ pipeline.beta.id }}"}}), r"beta\.work\.parameters\.x: beta is performed"),
        (beta(work={"parameters": {"x": "${{ 1 + 1 }}"}}), r"beta\.work\.parameters\.x: '1 \+ 1' is no name"),
        (beta(work={"functions": "x"}), r"beta\.work\.functions: this is no field"),
        (beta(work={"status": "success"}), r"beta\.work\.status: this is no field"),
        (beta(work={"token": "secret"}), r"beta\.work\.token: a token does not belong into a file"),
        (beta(work={"function": "f", "command": ["x"]}), r"beta\.work: .*cannot be set together"),
        (beta(work={"timeout": 0}), r"beta\.work: .*timeout"),
        (beta(matrix={"p": [1, 9]}, work={"priority": "${{ matrix.p }}"}), r"beta\.work: .*priority"),
        (beta(work={"config": {"archive": {"results": False}}}), r"config\.archive\.results: the pipeline needs"),
        (beta(runs_on="x"), r"beta\.runs_on: there is no deployment 'x'. There is none"),
        (beta(matrix={"a": ["${{ matrix.b }}"]}), r"beta\.matrix\.a\[0\]: the values of a matrix"),
        (beta(matrix={"event": [1]}), r"beta\.matrix\.event: the matrix of the pipeline has this key"),
        (beta(matrix={"a": {"range": [200]}, "b": {"range": [200]}}), r"beta\.matrix: 40000 combinations are too many"),
    ],
)
def test_mistakes_are_named_with_their_places(step: dict[str, Any], told: str) -> None:
    with pytest.raises(PipelineInvalid, match=told):
        read(document(step, matrix={"event": [1, 2]}))


def test_a_work_needs_a_user_and_a_site() -> None:
    with pytest.raises(PipelineInvalid, match=r"steps\.alpha\.work: .*user"):
        read(document(defaults={"site": "local"}))


def test_a_token_is_never_told() -> None:
    with pytest.raises(PipelineInvalid) as caught:
        read(document(defaults={"user": "ada", "site": "local", "token": "very-secret"}))
    assert "very-secret" not in str(caught.value)


def test_too_many_runs_are_refused() -> None:
    with pytest.raises(PipelineInvalid, match="matrix: 1001 combinations are too many"):
        read(document(matrix={"event": {"range": [1001]}}))


def test_what_a_step_replaces_of_the_defaults_is_not_looked_up() -> None:
    defaults = {"user": "ada", "site": "local", "event": ["${{ matrix.e }}"]}
    steps = [beta(matrix={"e": [1]}), {"name": "gamma", "work": {"event": [3]}}]
    given = document(*steps, defaults=defaults)
    given["pipeline"]["steps"][0]["work"]["event"] = [2]
    assert len(read(given).steps) == 3
    del given["pipeline"]["steps"][2]["work"]["event"]
    with pytest.raises(PipelineInvalid, match=r"defaults\.event\[0\] in the step gamma: the matrix has no 'e'"):
        read(given)


def test_deployments_without_steps_and_steps_without_deployments_are_told() -> None:
    found = read(document(beta(runs_on="d"), deployments=[{"name": name, "site": "local"} for name in ("d", "e")]))
    assert [text.split(":")[0] for text in warnings(found)] == [
        "No step runs on the deployment e",
        "The step alpha runs on no deployment",
    ]
    assert warnings(read(document())) == []


def housed(work: dict[str, Any], **more: Any) -> dict[str, Any]:
    deployments = [{"name": "crew", "site": "cedar"}]
    return document(beta(runs_on="crew", work={"function": "f", **work}, **more), deployments=deployments)


def test_a_deployment_has_its_own_site() -> None:
    assert read(housed({})).steps[1].name == "beta"
    assert read(housed({"site": "cedar"})).steps[1].name == "beta"
    for site in ("local", "${{ pipeline.alpha.results }}"):
        with pytest.raises(PipelineInvalid, match=r"beta\.work\.site: .*crew.*'cedar'"):
            read(housed({"site": site}))


def test_the_bucket_of_a_deployment_is_known_before_it_begins() -> None:
    assert read(housed({"pipeline": "p-${{ matrix.k }}"}, matrix={"k": ["a"]}))
    with pytest.raises(PipelineInvalid, match=r"beta\.work\.pipeline: .*crew.*pipeline\.alpha\.results"):
        read(housed({"pipeline": "p-${{ pipeline.alpha.results }}"}))
