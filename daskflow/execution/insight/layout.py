"""Places the nodes of an acyclic graph in layers, so that edges are short and seldom cross. Deterministic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

_SWEEPS = 8
_BENDS = 4000
"""Edges over several layers bend around the nodes between, unless that takes more points than this."""

Edge = tuple[int, int]


class Layout(NamedTuple):
    """Where nodes stand, and how edges run."""

    layers: list[list[int]]
    """The nodes of each layer, in their order; numbers from the count of nodes on are bends of edges."""
    positions: list[float]
    """Position of each node and bend within its layer, in units of the distance of two nodes; from 0."""
    paths: dict[Edge, list[int]]
    """The nodes and bends that each edge goes through."""


def layered(count: int, edges: Sequence[Edge]) -> Layout:
    """Place nodes 0 to `count`, of which each comes after those that it depends on: edges go from lower to higher."""
    edges = sorted(set(edges))
    layer = _longest_paths(count, edges)
    paths, steps = _bent(count, edges, layer)
    layers: list[list[int]] = [[] for _ in range(max(layer, default=-1) + 1)]
    for node, place in enumerate(layer):
        layers[place].append(node)
    neighbours = _neighbours(len(layer), steps)
    _order(layers, neighbours)
    return Layout(layers, _settle(layers, neighbours, count), paths)


def _longest_paths(count: int, edges: Sequence[Edge]) -> list[int]:
    layer = [0] * count
    for source, target in sorted(edges, key=lambda edge: (edge[1], edge[0])):
        layer[target] = max(layer[target], layer[source] + 1)
    return layer


def _bent(count: int, edges: Sequence[Edge], layer: list[int]) -> tuple[dict[Edge, list[int]], list[Edge]]:
    """Paths of the edges with a bend in each layer that they cross; `layer` grows by the bends."""
    paths: dict[Edge, list[int]] = {}
    steps: list[Edge] = []
    bends = sum(layer[target] - layer[source] - 1 for source, target in edges)
    for source, target in edges:
        path = [source]
        if bends <= _BENDS:
            for place in range(layer[source] + 1, layer[target]):
                path.append(len(layer))
                layer.append(place)
        path.append(target)
        paths[source, target] = path
        steps.extend(pairwise(path))
    return paths, steps


def _neighbours(count: int, steps: Sequence[Edge]) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(count)]
    for source, target in steps:
        found[source].append(target)
        found[target].append(source)
    return found


def _order(layers: list[list[int]], neighbours: list[list[int]]) -> None:
    """Sort each layer by the mean place of the neighbours in the layer before, then after, and so on."""
    place = [0.0] * len(neighbours)
    for nodes in layers:
        _number(nodes, place)
    for sweep in range(_SWEEPS):
        order = range(1, len(layers)) if sweep % 2 == 0 else range(len(layers) - 2, -1, -1)
        step = -1 if sweep % 2 == 0 else 1
        for index in order:
            beside = set(layers[index + step])
            layers[index].sort(key=_mean_place(neighbours, beside, place))
            _number(layers[index], place)


def _number(nodes: list[int], place: list[float]) -> None:
    for position, node in enumerate(nodes):
        place[node] = position / len(nodes)


def _mean_place(neighbours: list[list[int]], beside: set[int], place: list[float]) -> Callable[[int], float]:
    return lambda node: _mean([place[other] for other in neighbours[node] if other in beside], place[node])


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _settle(layers: list[list[int]], neighbours: list[list[int]], count: int) -> list[float]:
    """Move nodes towards their neighbours as far as the others of their layer let them."""
    y = [0.0] * len(neighbours)
    for nodes in layers:
        # Layers are centred on each other to begin with.
        for place, node in enumerate(nodes):
            y[node] = place - (len(nodes) - 1) / 2
    for sweep in range(_SWEEPS):
        for nodes in layers if sweep % 2 == 0 else layers[::-1]:
            wanted = [_mean([y[other] for other in neighbours[node]], y[node]) for node in nodes]
            # A bend needs less room than a node.
            room = [1.0 if node < count else 0.5 for node in nodes]
            for node, position in zip(nodes, spread(wanted, room), strict=True):
                y[node] = position
    lowest = min(y, default=0.0)
    return [position - lowest for position in y]


def spread(wanted: Sequence[float], room: Sequence[float]) -> list[float]:
    """The positions nearest to the wanted ones, in the given order, that leave each item its room.

    Examples
    --------
    >>> spread([0.0, 0.0, 9.0], [1.0, 1.0, 1.0])
    [-0.5, 0.5, 9.0]

    Notes
    -----
    Least squares under order: pooling of adjacent violators, after the room has been taken off.
    """
    offsets = [0.0]
    for one, other in pairwise(room):
        offsets.append(offsets[-1] + (one + other) / 2)
    blocks: list[tuple[float, int]] = []
    for target, offset in zip(wanted, offsets, strict=False):
        mean, size = target - offset, 1
        while blocks and blocks[-1][0] > mean:
            other, count = blocks.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        blocks.append((mean, size))
    flat = [mean for mean, size in blocks for _ in range(size)]
    return [mean + offset for mean, offset in zip(flat, offsets, strict=False)]
