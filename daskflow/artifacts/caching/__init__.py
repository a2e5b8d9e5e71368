"""The parts of the node cache: who uses what, what lies where, and how much fits."""
