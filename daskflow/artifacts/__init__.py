"""What is produced: the object store, the formats of results, the digests of files.

Nothing is imported here: a journal that only asks for the digest of a file need not load every format.
"""
