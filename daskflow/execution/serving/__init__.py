"""How a service runs on its node."""
