"""What happens on a worker: one attempt after the other, watched, limited, recorded."""
