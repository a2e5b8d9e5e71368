"""The interface of the Python client of PROMINENCE."""
