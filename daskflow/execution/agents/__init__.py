"""Agents: they withdraw works, perform them, and deposit what came out."""
