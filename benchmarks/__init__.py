"""Measures daskflow against dask itself: `python -m benchmarks`."""
