"""The server: works, artifacts, runs and questions over HTTP."""
