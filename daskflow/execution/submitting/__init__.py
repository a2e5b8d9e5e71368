"""Drivers that run as batch jobs: submitted, followed from elsewhere, put into the queue again before their end."""
