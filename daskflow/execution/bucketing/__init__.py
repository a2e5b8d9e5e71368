"""Jobs in buckets: calls that are deposited as works, which agents anywhere perform."""
