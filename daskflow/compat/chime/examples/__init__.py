"""Functions to try works with."""
