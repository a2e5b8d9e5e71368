"""Placing a graph in layers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskflow.execution.insight.layout import layered, spread


def test_layers_follow_the_longest_path() -> None:
    found = layered(4, [(0, 1), (1, 2), (0, 2), (0, 3)])
    assert [[node for node in nodes if node < 4] for nodes in found.layers] == [[0], [1, 3], [2]]
    assert len(found.paths[0, 2]) == 3


def test_independent_chains_do_not_cross() -> None:
    found = layered(6, [(0, 5), (1, 4), (2, 3)])
    order = {node: place for nodes in found.layers for place, node in enumerate(nodes)}
    assert order[0] < order[1] < order[2]
    assert order[5] < order[4] < order[3]


def test_a_chain_is_straight() -> None:
    assert len(set(layered(4, [(0, 1), (1, 2), (2, 3)]).positions)) == 1


def test_nothing_is_placed_nowhere() -> None:
    assert layered(0, []).layers == []


edges = st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)).filter(lambda edge: edge[0] < edge[1]), max_size=40)


@given(edges)
def test_any_graph_keeps_its_distances(given_edges: list[tuple[int, int]]) -> None:
    found = layered(15, given_edges)
    place = {node: number for number, nodes in enumerate(found.layers) for node in nodes}
    assert all(place[source] < place[target] for source, target in given_edges)
    assert min(found.positions) == 0
    for nodes in found.layers:
        standing = [found.positions[node] for node in nodes if node < 15]
        assert all(after - before >= 1 - 1e-9 for before, after in pairwise(standing))
    assert layered(15, given_edges) == found


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20))
def test_spread_leaves_room_and_keeps_the_mean(wanted: list[float]) -> None:
    found = spread(wanted, [1.0] * len(wanted))
    assert all(after - before >= 1 - 1e-6 for before, after in pairwise(found))
    assert sum(found) == pytest.approx(sum(wanted), abs=1e-6)
