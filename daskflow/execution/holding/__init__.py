"""What the run keeps back until something is decided: conditions, races, what tasks returned."""
