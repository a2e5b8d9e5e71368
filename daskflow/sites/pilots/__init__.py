"""Pilots: batch jobs that hold dask workers, which know when their time ends."""
