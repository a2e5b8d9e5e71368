"""Configuration, and the wired objects that it describes: the only place that builds them."""
