"""State that the stages of a run share."""
