"""Looks for what keeps a site from computing, and says what to do."""
