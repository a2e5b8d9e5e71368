"""What is known: records and states; no I/O."""
