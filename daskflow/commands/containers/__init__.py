"""Containers in which commands run, by whichever runtime a site has."""
