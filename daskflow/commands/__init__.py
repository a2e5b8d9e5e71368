"""How a command job runs on a node: scratch directory, inputs, processes, outputs.

Nothing is imported here: whoever only fills in a template need not load what unpacks archives.
"""
