"""How it hangs together: fingerprints, keys, tasks, jobs and flows. Pure: no cluster, no store."""
