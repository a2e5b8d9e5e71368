"""How it runs: the one room that knows graph, stores, artifacts and sites."""
