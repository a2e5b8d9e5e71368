"""Fast radio bursts: works that measure dispersion and width, deposited per event, and found again by event."""
