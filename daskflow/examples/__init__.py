"""Whole small pipelines, written as users would: they import only the front door."""
