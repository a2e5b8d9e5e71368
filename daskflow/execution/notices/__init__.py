"""Who hears of events: subscribers, and people by notifications."""
