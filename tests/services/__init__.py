"""Real servers beside Python that tests and benchmarks start for themselves."""
