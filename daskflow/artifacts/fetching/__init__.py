"""Files from URLs: sources, transfers that go on where they broke."""
