"""Command jobs: what users hold of them, what they are made of, what a worker does, what is left."""
