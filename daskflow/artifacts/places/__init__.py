"""Where objects lie: a directory, the memory of this process, the buckets of a cloud."""
