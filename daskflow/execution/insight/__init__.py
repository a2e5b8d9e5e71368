"""What is recorded, and what would be done, made ready for people."""
