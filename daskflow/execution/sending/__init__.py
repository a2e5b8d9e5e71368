"""What goes to sites: bundles, packages, and what is on its way."""
