"""Brings files and packages to where they are needed."""
