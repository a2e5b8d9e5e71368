"""Batch systems, and what runs as a batch job in its own right."""
