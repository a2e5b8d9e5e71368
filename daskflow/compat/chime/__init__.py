"""The interface of CHIME/FRB Workflow: Work, Buckets, Results and Swarm."""
