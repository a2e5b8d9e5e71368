"""Pipelines of works: stages, matrices and conditions from YAML, started once or by a schedule."""
