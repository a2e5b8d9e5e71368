"""Texts for numpy arrays and xarray objects: by type, shape and bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from daskflow.graph.tokens import digest, token


class Encodes(Protocol):
    """What the rules here need of an encoder."""

    def encode(self, value: Any) -> str:
        """The canonical text of a value."""

    def items(self, values: Any) -> str:
        """The texts of several values."""

    def code(self, value: Any) -> str:
        """The text of a function or class."""


def numeric(encoder: Encodes, value: Any, otherwise: Callable[[Any], str]) -> str:
    """The text of a value whose type numpy or xarray defines."""
    import numpy

    kind = type(value)
    if kind.__module__.startswith("xarray"):
        return _xarray(encoder, value)
    if isinstance(value, numpy.generic):
        return f"numpy{_array(encoder, numpy.asarray(value))}"
    if kind in (numpy.ndarray, numpy.memmap):
        return f"array{_array(encoder, value)}"
    if kind is numpy.matrix:
        return f"matrix{_array(encoder, numpy.asarray(value))}"
    if kind is numpy.ma.MaskedArray:
        mask = numpy.ma.getmaskarray(value)
        # What a mask hides is no part of the value.
        data = numpy.where(mask, numpy.zeros((), value.dtype), value.data) if value.dtype.names is None else value.data
        return f"masked({encoder.items((data, mask, value.fill_value))})"
    return otherwise(value)


def _array(encoder: Encodes, value: Any) -> str:
    import numpy

    dtype = value.dtype
    if dtype.names is not None:
        # Between the fields may be bytes that nobody ever set.
        fields = [f"{name!r}:{_array(encoder, value[name])}" for name in dtype.names]
        return f"({value.shape},{','.join(fields)})"
    if dtype.hasobject or dtype.kind == "T":
        return f"({dtype.str!r},{value.shape},{digest(encoder.items(value.ravel().tolist()))})"
    data = numpy.ascontiguousarray(value).reshape(-1).view(numpy.uint8) if value.nbytes else b""
    return f"({dtype.str!r},{value.shape},{digest(data)})"


def _xarray(encoder: Encodes, value: Any) -> str:
    kind = type(value).__qualname__
    if kind in {"Variable", "IndexVariable"}:
        data = value.values if value.chunks is None else value.data
        return f"Variable({encoder.items((value.dims, dict(value.attrs), data))})"
    if kind == "DataArray":
        coordinates = {name: item.variable for name, item in value.coords.items()}
        return f"DataArray({encoder.items((value.name, value.variable, coordinates))})"
    if kind == "Dataset":
        return f"Dataset({encoder.items((dict(value.variables), set(value.coords), dict(value.attrs)))})"
    if kind == "DataTree":
        nodes = {node.path: node.to_dataset(inherit=False) for node in value.subtree}
        return f"DataTree({encoder.items((value.name, nodes))})"
    return token(value, encoder.code)
